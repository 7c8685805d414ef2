// See pattern.hpp.
#include "tests/support/pattern.hpp"

#include <regex>

namespace ramie_test {

bool has(const std::string& text, const std::string& pattern) {
  return std::regex_search(text, std::regex(pattern));
}

std::vector<std::string> groups(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> result;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    result.push_back((*at)[1]);
  return result;
}

}  // namespace ramie_test
