// Mutex: one owner at a time. It may be held over waits.
//
// Waiters are queued in the order in which they come. Unlocking wakes the first one but does not
// wait for it to run: a fiber that is already running may take the mutex meanwhile. If the mutex is
// held when the waiter arrives, the waiter goes back to the front of the queue, and the next unlock
// hands the mutex to it directly. So a waiter can be overtaken only during one wake-up.
//
// Rejected: handing over at every unlock. Each lock of a contended mutex then costs two switches
// and a wake of another worker, and critical sections of a few nanoseconds queue up behind it.
// Rejected: no bound at all, as in most thread mutexes. A loop that locks again at once starves the
// others.
#pragma once

#include <ramie/sync/wait_queue.hpp>

#include <atomic>
#include <cstdint>

namespace ramie::inline v0 {

namespace sched {
class MutexHolder;
class Wait;
}  // namespace sched

namespace sync {

/// Meets Lockable: std::lock_guard, std::unique_lock and std::scoped_lock work with it. It has no
/// owner: a fiber may change threads, and another fiber may unlock what this one locked.
class Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  /// Waits until nobody holds the mutex, then takes it.
  /// Returns  when this fiber holds it. Locking twice in one fiber waits for ever.
  /// Blocks   this fiber; outside a fiber, this thread.
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

  /// lock() that a cancel can end.
  /// Returns  success: the caller holds the mutex.
  /// Errors   canceled, timed_out, shutting_down: the caller does not hold it.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> lock_cancelable() noexcept;

  /// Gives the mutex up and wakes the waiter that came first.
  /// Errors   stops the program if nobody holds the mutex.
  void unlock() noexcept {
    std::uint32_t held = kLocked;
    if (!state_.compare_exchange_strong(held, 0, std::memory_order_release,
                                        std::memory_order_relaxed)) [[unlikely]]
      unlock_slow();
  }

 private:
  friend class sched::MutexHolder;
  // kLocked changes anywhere; the others change only under the queue's lock.
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kWaiters = 2;  // a waiter is queued
  // one has left the queue and will try: wake no other
  static constexpr std::uint32_t kWoken = 4;
  // the first waiter was overtaken; only together with kLocked
  static constexpr std::uint32_t kHandOff = 8;

  // For dumps: the stack on which the mutex was taken identifies its holder. This costs no call,
  // and one store to a cache line that is ours at that moment.
  void note_holder() noexcept {
    const void* stack = nullptr;
#if defined(__x86_64__)
    __asm__("movq %%rsp, %0" : "=r"(stack));
#elif defined(__aarch64__)
    __asm__("mov %0, sp" : "=r"(stack));
#else
    stack = __builtin_frame_address(0);
#endif
    holder_.store(mark_of(stack), std::memory_order_relaxed);
  }
  // 36 bits of the address, in units of 16 bytes, distinguish 64 GiB of stacks.
  static std::uint32_t mark_of(const void* stack) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(stack) >> 4U);
  }

  RAMIE_API void lock_slow() noexcept;
  RAMIE_API void unlock_slow() noexcept;
  Result<void> lock_in_queue(sched::Wait& wait) noexcept;
  bool take_or_queue(bool& is_woken) noexcept;
  bool wake_first() noexcept;

  ramie::detail::Atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> holder_{0};  // a hint; no protocol depends on it
  detail::WaitQueue queue_;
};

}  // namespace sync
}  // namespace ramie::inline v0
