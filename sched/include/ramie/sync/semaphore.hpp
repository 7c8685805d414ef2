// Semaphore: a number of permits that are taken and given back.
#pragma once

#include <ramie/sync/wait_queue.hpp>

namespace ramie::inline v0 {

namespace sched {
class Wait;
}

namespace sync {

/// Requests are served in the order in which they come. While a request for many permits waits,
/// smaller ones behind it wait, too, even if there are permits. Permits that are given back go to
/// waiters before anybody else sees them.
class Semaphore {
 public:
  static constexpr std::uint64_t kMaxPermits = ~std::uint64_t{0} >> 3U;

  /// Starts with `permits`. More than kMaxPermits stop the program.
  constexpr explicit Semaphore(std::uint64_t permits) noexcept : word_(permits << kShift) {
    if (permits > kMaxPermits) refuse(permits);
  }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  /// Waits until there are `n` permits and no other request waits before this one. Then takes them
  /// all at once.
  /// Returns  success: they belong to the caller.
  /// Errors   closed; canceled, timed_out, shutting_down. On any error no permit was taken.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: may be retried, at the end of the queue.
  [[nodiscard]] RAMIE_API Result<void> acquire(std::uint64_t n = 1) noexcept;
  /// For the library's own waits, which have already entered and have a name of their own in dumps.
  [[nodiscard]] Result<void> acquire(sched::Wait& wait, std::uint64_t n) noexcept;

  /// Takes `n` permits if they are there and no other request waits.
  /// Returns  whether they belong to the caller; false also when closed.
  [[nodiscard]] RAMIE_API bool try_acquire(std::uint64_t n = 1) noexcept;

  /// Gives `n` permits, whether they were taken before or not.
  /// Returns  when the waiters that they suffice for own them.
  /// Errors   stops the program above kMaxPermits.
  RAMIE_API void release(std::uint64_t n = 1) noexcept;

  /// Closes the semaphore: every acquire(), now and later, returns `closed`. Permits can still be
  /// given back. A second call does nothing.
  RAMIE_API void close() noexcept;

  bool is_closed() const noexcept { return (word_.load(std::memory_order_acquire) & kClosed) != 0; }
  /// Permits that nobody owns.
  std::uint64_t available() const noexcept {
    return word_.load(std::memory_order_acquire) >> kShift;
  }

 private:
  // bits 63..2 permits | 1 WAITERS | 0 CLOSED. With WAITERS on, permits change only under the
  // queue's lock, so newcomers cannot take them.
  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kWaiters = 2;
  static constexpr unsigned kShift = 2;
  enum class Taken : std::uint8_t { yes, no, queue, closed };

  Taken take(std::uint64_t n) noexcept;
  Taken take_or_queue(std::uint64_t n, bool stands_first) noexcept;
  void serve(std::uint64_t released) noexcept;
  RAMIE_API static void refuse(std::uint64_t permits) noexcept;

  ramie::detail::Atomic<std::uint64_t> word_;
  detail::WaitQueue queue_;
};

}  // namespace sync
}  // namespace ramie::inline v0
