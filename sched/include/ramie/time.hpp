// Time: sleeping and deadlines. They are never early, and finer than a millisecond. Durations that
// overflow mean "for ever".
#pragma once

#include <ramie/cancel.hpp>

#include <chrono>
#include <utility>

namespace ramie::inline v0 {

namespace detail {
template <class>
inline constexpr bool kNever = false;

// now + delay, or the end of time.
RAMIE_API std::chrono::steady_clock::time_point deadline_after(
    std::chrono::nanoseconds delay) noexcept;

template <class Rep, class Period>
std::chrono::nanoseconds clamp_delay(std::chrono::duration<Rep, Period> delay) noexcept {
  using Seconds = std::chrono::duration<double>;
  if (!(Seconds(delay) > Seconds(0))) return std::chrono::nanoseconds(0);
  if (Seconds(delay) >= Seconds(9.0e9)) return std::chrono::nanoseconds::max();
  return std::chrono::ceil<std::chrono::nanoseconds>(delay);
}
}  // namespace detail

/// Sleeps until `deadline`.
/// Returns  success, not before the deadline; at once if it has passed.
/// Errors   canceled, timed_out, shutting_down; no_runtime outside a fiber.
/// Blocks   this fiber.
/// Threads  fibers only.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<void> sleep_until(
    std::chrono::steady_clock::time_point deadline) noexcept;

/// Sleeps for `delay`, as sleep_until().
template <class Rep, class Period>
[[nodiscard]] Result<void> sleep_for(std::chrono::duration<Rep, Period> delay) noexcept {
  return sleep_until(detail::deadline_after(detail::clamp_delay(delay)));
}
template <class Number>
  requires std::is_arithmetic_v<Number>
[[nodiscard]] Result<void> sleep_for(Number) noexcept {
  static_assert(detail::kNever<Number>, "sleep_for: say the unit: sleep_for(5ms), sleep_for(1s)");
  return {};
}

/// timeout_at() with a deadline `delay` from now.
template <class Rep, class Period, class F>
[[nodiscard]] auto timeout(std::chrono::duration<Rep, Period> delay, F&& function) {
  return timeout_at(detail::deadline_after(detail::clamp_delay(delay)), std::forward<F>(function));
}

template <class Number, class F>
  requires std::is_arithmetic_v<Number>
[[nodiscard]] Result<void> timeout(Number, F&&) {
  static_assert(detail::kNever<Number>, "timeout: say the unit: timeout(5ms, f), timeout(1s, f)");
  return {};
}

}  // namespace ramie::inline v0
