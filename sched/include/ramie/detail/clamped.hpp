// Durations as parameters: any std::chrono duration, and none wraps round on its way in.
#pragma once

#include <ramie/api.hpp>

#include <chrono>

namespace ramie::inline v0::detail {

// `To`, from any duration. A duration that does not fit becomes the longest or the shortest. (The
// standard conversion turns hours::max() into nanoseconds an hour ago.) What is finer than `To` is
// rounded up.
template <class To>
class Clamped {
 public:
  template <class Rep, class Period>
  constexpr Clamped(std::chrono::duration<Rep, Period> time) noexcept : value_(clamp(time)) {}
  constexpr operator To() const noexcept { return value_; }

 private:
  using Seconds = std::chrono::duration<double>;

  static constexpr To clamp(To time) noexcept { return time; }
  template <class Rep, class Period>
  static constexpr To clamp(std::chrono::duration<Rep, Period> time) noexcept {
    const Seconds seconds(time);
    if (seconds >= Seconds(To::max())) return To::max();
    if (seconds <= Seconds(To::min())) return To::min();
    return seconds == seconds ? std::chrono::ceil<To>(time) : To::zero();  // NaN is no time
  }

  To value_;
};

}  // namespace ramie::inline v0::detail
