// Regular expressions, compiled once: <regex> is slow to compile in each file that includes it.
#pragma once

#include <string>
#include <vector>

namespace ramie_test {

bool has(const std::string& text, const std::string& pattern);

// The first group of each match.
std::vector<std::string> groups(const std::string& text, const std::string& pattern);

}  // namespace ramie_test
