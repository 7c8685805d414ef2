// A mutex of four bytes for short critical sections. Waiting sleeps in the kernel: a spinlock whose
// holder was preempted would burn the waiter's time slice (measured elsewhere: a wake-up p99 of 3.5
// ms).
//
//   0 free    1 held    2 held, and somebody may sleep
//
// unlock() does not touch the mutex after its exchange (a futex wake needs only the address), so
// the next holder may destroy it at once.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <cstdint>

namespace ramie::inline v0::base {

class FutexMutex {
 public:
  constexpr FutexMutex() noexcept = default;
  FutexMutex(const FutexMutex&) = delete;
  FutexMutex& operator=(const FutexMutex&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, 1, kAcquire, kRelaxed)) lock_slow();
  }
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, kAcquire, kRelaxed);
  }
  void unlock() noexcept {
    const void* address = &word_;
    const std::uint32_t old = word_.exchange(0, kRelease);
    if (old == 2) sys::futex_wake(address, 1);
  }

 private:
  [[gnu::noinline]] void lock_slow() noexcept {
    // A holder on another core needs a few dozen cycles.
    for (int i = 0; i < (kIsModel ? 1 : 40); ++i) {
      std::uint32_t free = 0;
      if (word_.load(kRelaxed) == 0 && word_.compare_exchange_strong(free, 1, kAcquire, kRelaxed))
        return;
      cpu_pause();
    }
    while (word_.exchange(2, kAcquire) != 0)
      (void)sys::futex_wait(&word_, 2, std::chrono::nanoseconds(-1));
  }

  Atomic<std::uint32_t> word_{0};
};

}  // namespace ramie::inline v0::base
