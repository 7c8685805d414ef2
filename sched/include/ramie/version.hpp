// The version of these headers. The build refuses one that differs from the file VERSION.
#pragma once

#include <ramie/api.hpp>

#include <string_view>

#define RAMIE_VERSION_MAJOR 0
#define RAMIE_VERSION_MINOR 1
#define RAMIE_VERSION_PATCH 0
#define RAMIE_VERSION "0.1.0"
/// For comparisons: `#if RAMIE_VERSION_NUMBER >= 200` asks for 0.2.0.
#define RAMIE_VERSION_NUMBER \
  (RAMIE_VERSION_MAJOR * 10000 + RAMIE_VERSION_MINOR * 100 + RAMIE_VERSION_PATCH)

namespace ramie::inline v0 {

/// Returns the version of the library that the program runs with, as "0.1.0". RAMIE_VERSION is the
/// version that it was compiled with. A program whose two versions do not fit stops with a message
/// when it makes its first runtime::Builder.
[[nodiscard]] RAMIE_API std::string_view version() noexcept;

namespace detail {

// Before 1.0 a minor version may change the interface. A patch version may add to it.
constexpr bool fits(unsigned headers, unsigned library) noexcept {
  return headers / 100 == library / 100 && headers <= library;
}

}  // namespace detail

}  // namespace ramie::inline v0
