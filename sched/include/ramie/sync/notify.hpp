// Notify: "something happened", without saying what.
#pragma once

#include <ramie/sync/wait_line.hpp>

namespace ramie {
inline namespace v0 {
namespace sync {

/// Holds at most one notification: many notify_one() calls before a wait() are one.
class Notify {
 public:
  constexpr Notify() noexcept = default;
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  /// Waits for a notification, or takes the stored one.
  /// Returns  success: one notification was used up.
  /// Errors   canceled, timed_out, shutting_down: none was.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: a notification meant for this wait goes to the next in line, or is stored.
  [[nodiscard]] RAMIE_API Result<void> wait() noexcept;

  /// Wakes the first in line; if nobody waits, the next wait() returns at once.
  /// Returns  nothing.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API void notify_one() noexcept;

  /// Wakes all that wait now, and nobody who comes later.
  /// Returns  nothing.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API void notify_all() noexcept;

 private:
  // kWaiting comes and goes under the line's lock.
  enum State : std::uint32_t { kEmpty, kStored, kWaiting };

  bool take_or_queue() noexcept;

  ramie::detail::Atomic<std::uint32_t> state_{kEmpty};
  detail::WaitLine line_;
};

}  // namespace sync
}  // namespace v0
}  // namespace ramie
