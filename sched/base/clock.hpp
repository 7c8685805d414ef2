// The one clock: monotonic nanoseconds. Everything that needs the time reads it here.
#pragma once

#include <chrono>
#include <cstdint>

namespace ramie::inline v0::base {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using Nanos = std::chrono::nanoseconds;

inline constexpr Instant kNever = Instant::max();

#if defined(RAMIE_MODEL)
Instant now() noexcept;  // does not move unless a model moves it
#else
inline Instant now() noexcept { return Clock::now(); }
#endif

// The processor's cycle counter, for "have about 100 us passed?". It is cheaper than now(), has a
// unit of its own, and differs between processors.
inline std::uint64_t cycles() noexcept {
#if defined(RAMIE_MODEL)
  return 0;  // nothing is ever late
#elif defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t count = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(count));
  return count;
#else
  return static_cast<std::uint64_t>(now().time_since_epoch().count());
#endif
}

// About 100 us of it: between 60 and 260 us, for counters that run at 4.5 to 1 GHz.
inline std::uint64_t cycles_in_slice() noexcept {
#if defined(__x86_64__)
  return std::uint64_t{1} << 18U;
#elif defined(__aarch64__)
  std::uint64_t frequency = 0;
  asm("mrs %0, cntfrq_el0" : "=r"(frequency));
  return frequency / 10'000;
#else
  return 100'000;
#endif
}

// `from + delay`, at most kNever. A delay of "for ever" must not wrap into the past.
template <class Rep, class Period>
Instant saturating_add(Instant from, std::chrono::duration<Rep, Period> delay) noexcept {
  if (delay <= delay.zero()) return from;
  constexpr auto kLimit = std::chrono::duration<double>(9.0e9);  // 285 years
  if (std::chrono::duration<double>(delay) >= kLimit) return kNever;
  auto exact = std::chrono::ceil<Nanos>(delay);
  return exact >= kNever - from ? kNever : from + exact;
}

}  // namespace ramie::inline v0::base
