// The one clock: monotonic nanoseconds. Everything that asks for the time asks here.
#pragma once

#include <chrono>

namespace ramie {
inline namespace v0 {
namespace base {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using Nanos = std::chrono::nanoseconds;

inline constexpr Instant kNever = Instant::max();

#if defined(RAMIE_MODEL)
Instant now() noexcept;  // stands still until a model moves it
#else
inline Instant now() noexcept { return Clock::now(); }
#endif

// `from + delay`, at most kNever: a delay of "for ever" must not wrap into the past.
template <class Rep, class Period>
Instant saturating_add(Instant from, std::chrono::duration<Rep, Period> delay) noexcept {
  if (delay <= delay.zero()) return from;
  constexpr auto kLimit = std::chrono::duration<double>(9.0e9);  // 285 years
  if (std::chrono::duration<double>(delay) >= kLimit) return kNever;
  auto exact = std::chrono::ceil<Nanos>(delay);
  return exact >= kNever - from ? kNever : from + exact;
}

}  // namespace base
}  // namespace v0
}  // namespace ramie
