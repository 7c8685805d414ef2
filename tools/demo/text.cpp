// The out-of-line half of text.hpp.
#include "tools/demo/text.hpp"

namespace demo {

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  // from_chars takes "007" and "-0"; a canonical number has one spelling.
  const std::string_view digits = text.front() == '-' ? text.substr(1) : text;
  if (digits.front() == '0' && text.size() > 1) return std::nullopt;
  return value;
}

namespace {

struct ClassMatch {
  bool hit;
  std::size_t length;  // of the whole [...] in the pattern
};

// `pattern` starts behind the '['. An unclosed class ends with the pattern, as in Redis.
ClassMatch match_class(std::string_view pattern, char c) noexcept {
  std::size_t i = 0;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  bool hit = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    char low = to_lower(pattern[i]);
    char high = low;
    if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      high = to_lower(pattern[i + 2]);
      if (high < low) std::swap(low, high);
      i += 2;
    }
    hit = hit || (c >= low && c <= high);
  }
  return {hit != negated, i < pattern.size() ? i + 1 : i};
}

}  // namespace

// Iterative with one backtrack point: linear for one star, never exponential (KEYS a*a*a*a*b is a
// known way to hang a server that recurses).
bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size() || p < pattern.size()) {
    bool step = false;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    if (p < pattern.size() && t < text.size()) {
      const char c = to_lower(text[t]);
      std::size_t width = 1;
      if (pattern[p] == '?') {
        step = true;
      } else if (pattern[p] == '[') {
        const ClassMatch match = match_class(pattern.substr(p + 1), c);
        step = match.hit;
        width = match.length + 1;
      } else {
        if (pattern[p] == '\\' && p + 1 < pattern.size()) {
          step = to_lower(pattern[p + 1]) == c;
          width = 2;
        } else {
          step = to_lower(pattern[p]) == c;
        }
      }
      if (step) {
        p += width;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos || star_text >= text.size()) return false;
    p = star + 1;
    t = ++star_text;
  }
  return true;
}

}  // namespace demo
