// Result<T>: what every operation returns that the world can make fail.
#pragma once

#include <ramie/error.hpp>

#include <expected>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ramie {
inline namespace v0 {

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

// What join(), timeout() and until() give back for a function that returns `U`: a Result is not
// nested.
template <class U>
using Flat = std::conditional_t<kIsResult<U>, U, Result<U>>;
}  // namespace detail

/// The value of `result`, or the exception.
/// Returns  the value.
/// Errors   throws std::system_error with the result's code.
/// Blocks   never.
/// Threads  any.
/// Cancel   not a wait.
template <class T>
T or_throw(Result<T>&& result) {
  if (!result) throw std::system_error(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
/// The same for a result with a name, which keeps its value: a reference to it.
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

/// Prints `what: message` on stderr: the last line of a program that could not go on.
/// Returns  1, ready to be main's exit status.
/// Errors   none.
/// Blocks   the thread, for one write to stderr.
/// Threads  any.
/// Cancel   not a wait.
RAMIE_API int report(std::string_view what, std::error_code code) noexcept;

}  // namespace v0
}  // namespace ramie
