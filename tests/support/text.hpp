// Searches printed text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ramie_test {

// Returns how often `part` occurs in `text`.
inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++n;
  return n;
}

}  // namespace ramie_test
