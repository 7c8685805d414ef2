// Texts as bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ramie_test {

inline std::span<const std::byte> bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::span<std::byte> writable_bytes(std::string& text) noexcept {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}

}  // namespace ramie_test
