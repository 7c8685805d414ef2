// Result<T>: the return type of every operation that can fail at run time.
#pragma once

#include <ramie/error.hpp>

#include <expected>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ramie::inline v0 {

template <class T>
using Result = std::expected<T, std::error_code>;

inline std::unexpected<std::error_code> failure(std::error_code code) noexcept {
  return std::unexpected(code);
}

namespace detail {
template <class T>
inline constexpr bool kIsResult = false;
template <class T>
inline constexpr bool kIsResult<Result<T>> = true;

// What join(), timeout() and until() return for a function that returns `U`. A Result is not
// nested.
template <class U>
using Flat = std::conditional_t<kIsResult<U>, U, Result<U>>;
}  // namespace detail

/// Returns the value of `result`.
/// Errors   throws std::system_error with the result's code.
template <class T>
T or_throw(Result<T>&& result) {
  if (!result) throw std::system_error(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
/// The same for a named result, which keeps its value: returns a reference to it.
template <class T>
std::add_lvalue_reference_t<T> or_throw(Result<T>& result) {
  if (!result) throw std::system_error(result.error());
  if constexpr (!std::is_void_v<T>) return *result;
}
template <class T>
std::add_lvalue_reference_t<const T> or_throw(const Result<T>& result) {
  if (!result) throw std::system_error(result.error());
  if constexpr (!std::is_void_v<T>) return *result;
}
template <class T>
void or_throw(const Result<T>&& result) = delete;  // a reference to it would dangle

/// Prints `what: message` on stderr. For the end of a program that cannot continue.
/// Returns  1, for use as main's exit status.
/// Blocks   the thread, for one write to stderr.
RAMIE_API int report(std::string_view what, std::error_code code) noexcept;

}  // namespace ramie::inline v0
