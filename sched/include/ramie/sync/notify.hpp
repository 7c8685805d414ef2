// Notify: says that something happened, but not what.
#pragma once

#include <ramie/sync/wait_queue.hpp>

namespace ramie::inline v0::sync {

/// Stores at most one notification: many notify_one() calls before a wait() count as one.
class Notify {
 public:
  constexpr Notify() noexcept = default;
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  /// Waits for a notification, or takes the stored one.
  /// Returns  success: one notification was used up.
  /// Errors   canceled, timed_out, shutting_down: none was used up.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: a notification meant for this wait goes to the next waiter, or is stored.
  [[nodiscard]] RAMIE_API Result<void> wait() noexcept;

  /// Wakes the waiter that came first. If nobody waits, the next wait() returns at once.
  RAMIE_API void notify_one() noexcept;

  /// Wakes all that wait now. Later waits are not affected.
  RAMIE_API void notify_all() noexcept;

 private:
  // kWaiting changes under the queue's lock.
  enum State : std::uint32_t { kEmpty, kStored, kWaiting };

  bool take_or_queue() noexcept;

  ramie::detail::Atomic<std::uint32_t> state_{kEmpty};
  detail::WaitQueue queue_;
};

}  // namespace ramie::inline v0::sync
