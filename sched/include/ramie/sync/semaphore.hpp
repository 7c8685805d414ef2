// Semaphore: a number of permits, taken and given back.
#pragma once

#include <ramie/sync/wait_line.hpp>

namespace ramie {
inline namespace v0 {

namespace sched {
class Wait;
}

namespace sync {

/// First come, first served: while a request for many permits waits, smaller ones behind it wait
/// too, even if permits are there. Permits given back go to those in line before anybody sees them.
class Semaphore {
 public:
  static constexpr std::uint64_t kMaxPermits = ~std::uint64_t{0} >> 3U;

  /// `permits` may be taken at first; more than kMaxPermits stop the program.
  constexpr explicit Semaphore(std::uint64_t permits) noexcept : word_(permits << kShift) {
    if (permits > kMaxPermits) refuse(permits);
  }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  /// Waits until `n` permits are there and nobody stands before us, then takes them, all at once.
  /// Returns  success: they are the caller's.
  /// Errors   closed; canceled, timed_out, shutting_down. On any error no permit was taken.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: may be retried, at the end of the line.
  [[nodiscard]] RAMIE_API Result<void> acquire(std::uint64_t n = 1) noexcept;
  /// For the library's own waits, which have entered and are not called `semaphore`.
  [[nodiscard]] Result<void> acquire(sched::Wait& wait, std::uint64_t n) noexcept;

  /// Takes `n` permits if they are there and nobody stands in line.
  /// Returns  whether they are the caller's; false also when closed.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API bool try_acquire(std::uint64_t n = 1) noexcept;

  /// Gives `n` permits, whether they were taken before or not.
  /// Returns  when those in line that they suffice for own them.
  /// Errors   stops the program above kMaxPermits.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API void release(std::uint64_t n = 1) noexcept;

  /// Ends the line: every acquire(), now and later, returns `closed`. Permits can still be given
  /// back.
  /// Returns  nothing.
  /// Errors   none; a second call does nothing.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API void close() noexcept;

  bool is_closed() const noexcept { return (word_.load(std::memory_order_acquire) & kClosed) != 0; }
  /// Permits that nobody owns.
  std::uint64_t available() const noexcept {
    return word_.load(std::memory_order_acquire) >> kShift;
  }

 private:
  // bits 63..2 permits | 1 WAITERS | 0 CLOSED. With WAITERS on, permits change only under the
  // line's lock: that is what keeps newcomers from taking them.
  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kWaiters = 2;
  static constexpr unsigned kShift = 2;
  enum class Taken : std::uint8_t { yes, no, line, closed };

  Taken take(std::uint64_t n) noexcept;
  Taken take_or_queue(std::uint64_t n, bool stands_first) noexcept;
  void serve(std::uint64_t released) noexcept;
  RAMIE_API static void refuse(std::uint64_t permits) noexcept;

  ramie::detail::Atomic<std::uint64_t> word_;
  detail::WaitLine line_;
};

}  // namespace sync
}  // namespace v0
}  // namespace ramie
