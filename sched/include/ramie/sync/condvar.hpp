// Condvar: waits for a change of what a Mutex protects.
//
//   waiter    lock; while (!ready) wait(lock)      it is queued before the mutex is unlocked,
//   notifier  lock; ready = true; unlock; notify   so a notification in between is not lost
#pragma once

#include <ramie/sync/mutex.hpp>

#include <mutex>

namespace ramie::inline v0::sync {

class Condvar {
 public:
  constexpr Condvar() noexcept = default;
  Condvar(const Condvar&) = delete;
  Condvar& operator=(const Condvar&) = delete;

  /// Unlocks, waits for a notification, locks again. It may return without a notification, if a
  /// cancel came that a Shield hides: prefer the overload with a predicate.
  /// Returns  success after a notification. The lock is held in any case.
  /// Errors   canceled, timed_out, shutting_down: no notification was used up.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any; all that wait at a time use one mutex.
  /// Cancel   safe; it does not end the locking.
  [[nodiscard]] RAMIE_API Result<void> wait(std::unique_lock<Mutex>& lock) noexcept;

  /// Waits until `is_ready()` returns true. It runs with the lock held.
  /// Returns  success: it was true.
  /// Errors   canceled, timed_out, shutting_down: it was false when it ran last.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any; all that wait at a time use one mutex.
  /// Cancel   safe; the lock is held afterwards.
  template <class Predicate>
  [[nodiscard]] Result<void> wait(std::unique_lock<Mutex>& lock, Predicate&& is_ready) {
    while (!is_ready())
      if (auto waited = wait(lock); !waited) return waited;
    return {};
  }

  /// Wakes the waiter that came first. A waiter that a cancel has already ended does not count.
  /// Threads  any, with or without the mutex.
  void notify_one() noexcept {
    if (has_waiters_.load(std::memory_order_acquire)) notify_one_slow();
  }

  /// Wakes all that wait now.
  /// Threads  any, with or without the mutex.
  void notify_all() noexcept {
    if (has_waiters_.load(std::memory_order_acquire)) notify_all_slow();
  }

 private:
  RAMIE_API void notify_one_slow() noexcept;
  RAMIE_API void notify_all_slow() noexcept;

  ramie::detail::Atomic<bool> has_waiters_{false};
  detail::WaitQueue queue_;
};

}  // namespace ramie::inline v0::sync
