// Small text rules that Redis clients rely on: strict integers, ASCII case, glob patterns.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace demo {

constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// ASCII only, in any locale: "İ" never equals "i".
constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

/// The integers that Redis accepts: one canonical spelling each. No sign '+', no leading zero,
/// no "-0", no blanks; the whole text is the number.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// Glob as in KEYS and CONFIG GET: * ? [a-z] [^a] and backslash. Ignores ASCII case.
bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

/// Appends the decimal digits; never allocates more than `out` does.
template <class Integer>
void append_integer(std::string& out, Integer value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

}  // namespace demo
