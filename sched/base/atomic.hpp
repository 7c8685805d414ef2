// The one door to atomics: the model checker (tests/model) compiles the very headers that ship
// against its own.
#pragma once

#if defined(RAMIE_MODEL)

#include "tests/model/atomic.hpp"

namespace ramie::inline v0::base {
using model::Atomic;
using model::fence;
template <class T>
using Plain = model::Cell<T>;
inline void cpu_pause() { model::yield(); }
inline constexpr bool kIsModel = true;
}  // namespace ramie::inline v0::base

#else

#include <atomic>

namespace ramie::inline v0::base {

template <class T>
using Atomic = std::atomic<T>;

// The checker runs with small capacities.
inline constexpr bool kIsModel = false;

// Data without atomicity; under the checker every access is checked for races.
template <class T>
using Plain = T;

inline void fence(std::memory_order order) noexcept {
#if defined(__SANITIZE_THREAD__)
#define RAMIE_FENCE_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RAMIE_FENCE_UNDER_TSAN 1
#endif
#endif
#if !defined(RAMIE_FENCE_UNDER_TSAN)
  std::atomic_thread_fence(order);
#else
  // TSan does not know fences. No data of ours travels by a fence alone (only liveness does), so
  // nothing is lost.
  if (order == std::memory_order_seq_cst) {
#if defined(__x86_64__)
    __asm__ __volatile__("lock; addl $0,(%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
    __asm__ __volatile__("dmb ish" ::: "memory");
#else
#error "a full fence that the race detector does not see is known for x86-64 and AArch64 only"
#endif
  }
#endif
}

// For loops that look at a word again and again. It takes some 10 to 50 ns. (AArch64's `yield` does
// nothing on most processors; `isb` waits until what was begun is done.)
inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb" ::: "memory");
#endif
}

}  // namespace ramie::inline v0::base

#endif

namespace ramie::inline v0::base {
inline constexpr auto kRelaxed = std::memory_order_relaxed;
inline constexpr auto kAcquire = std::memory_order_acquire;
inline constexpr auto kRelease = std::memory_order_release;
inline constexpr auto kAcqRel = std::memory_order_acq_rel;
inline constexpr auto kSeqCst = std::memory_order_seq_cst;
}  // namespace ramie::inline v0::base
