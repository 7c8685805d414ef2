// Mutex: one owner at a time, held over waits if need be.
//
// Who waits stands in line, first come, first served. Unlocking wakes the first one but does not
// wait for it to run: whoever runs already may take the mutex meanwhile. If it is held when the
// waiter arrives, the waiter goes back to the front, and the next unlock hands the mutex to it
// directly. So a waiter is overtaken during one wake-up at most.
//
// Rejected: handing over at every unlock. Each lock of a contended mutex then costs two switches
// and a wake of another worker, and critical sections of a few nanoseconds queue up behind it.
// Rejected: no bound at all, as in most thread mutexes; a loop that locks again at once starves the
// others.
#pragma once

#include <ramie/sync/wait_line.hpp>

#include <atomic>
#include <cstdint>

namespace ramie {
inline namespace v0 {

namespace sched {
class MutexHolder;
class Wait;
}  // namespace sched

namespace sync {

/// Meets Lockable: std::lock_guard, std::unique_lock and std::scoped_lock work with it.
/// It has no owner: a fiber may change threads, and another fiber may unlock what this one locked.
class Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  /// Waits until nobody holds the mutex, then takes it.
  /// Returns  when this fiber holds it.
  /// Errors   none; locking twice in one fiber waits for ever.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   does not end it: see lock_cancelable().
  void lock() noexcept {
    std::uint32_t free = 0;
    if (!state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) [[unlikely]]
      lock_slow();
    note_holder();
  }

  /// Takes the mutex if nobody holds it.
  /// Returns  whether the caller holds it now.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & kLocked) == 0)
      if (state_.compare_exchange_weak(state, state | kLocked, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        note_holder();
        return true;
      }
    return false;
  }

  /// lock() for a fiber that would rather go home.
  /// Returns  success: the caller holds the mutex.
  /// Errors   canceled, timed_out, shutting_down: the caller does not hold it.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> lock_cancelable() noexcept;

  /// Gives the mutex up and wakes the first in line.
  /// Returns  nothing.
  /// Errors   stops the program if nobody holds the mutex.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  void unlock() noexcept {
    std::uint32_t held = kLocked;
    if (!state_.compare_exchange_strong(held, 0, std::memory_order_release,
                                        std::memory_order_relaxed)) [[unlikely]]
      unlock_slow();
  }

 private:
  friend class sched::MutexHolder;
  // kLocked changes anywhere, the others only under the line's lock.
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kWaiters = 2;  // somebody stands in line
  static constexpr std::uint32_t kWoken = 4;    // one left the line and will try: wake no other
  static constexpr std::uint32_t kHandOff = 8;  // the first was overtaken; only with kLocked

  // For dumps: who holds it is known by the stack on which it was taken. No call, and one store to
  // a cache line that is ours now.
  void note_holder() noexcept {
    const void* stack = nullptr;
#if defined(__x86_64__)
    __asm__("movq %%rsp, %0" : "=r"(stack));
#else
    stack = __builtin_frame_address(0);
#endif
    holder_.store(mark_of(stack), std::memory_order_relaxed);
  }
  // 36 bits of the address, in units of 16: 64 GiB of stacks are told apart.
  static std::uint32_t mark_of(const void* stack) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(stack) >> 4U);
  }

  RAMIE_API void lock_slow() noexcept;
  RAMIE_API void unlock_slow() noexcept;
  Result<void> lock_in_line(sched::Wait& wait) noexcept;
  bool take_or_queue(bool& is_woken) noexcept;
  bool wake_first() noexcept;

  ramie::detail::Atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> holder_{0};  // a hint, no part of the protocol
  detail::WaitLine line_;
};

}  // namespace sync
}  // namespace v0
}  // namespace ramie
