// Readiness of descriptors: what to wait for, what is there, and the tie between a descriptor and
// the driver.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace io {

class ScheduledIo;

/// What to wait for. Combine with |.
enum class Interest : std::uint8_t {
  readable = 1,
  writable = 2,
  priority = 4,  // urgent data
  error = 8,     // the error queue
};
constexpr Interest operator|(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Interest set, Interest one) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// What is there, as far as the driver has heard.
class Ready {
 public:
  static constexpr std::uint8_t kReadable = 1, kWritable = 2, kReadClosed = 4, kWriteClosed = 8,
                                kPriority = 16, kError = 32, kAll = 63;

  constexpr explicit Ready(std::uint8_t bits = 0) noexcept : bits_(bits) {}
  constexpr bool is_readable() const noexcept { return (bits_ & (kReadable | kReadClosed)) != 0; }
  constexpr bool is_writable() const noexcept { return (bits_ & (kWritable | kWriteClosed)) != 0; }
  /// The peer has closed its sending side, or both. Final.
  constexpr bool is_read_closed() const noexcept { return (bits_ & kReadClosed) != 0; }
  /// Nothing more can be sent. Final.
  constexpr bool is_write_closed() const noexcept { return (bits_ & kWriteClosed) != 0; }
  constexpr bool is_priority() const noexcept { return (bits_ & kPriority) != 0; }
  constexpr bool is_error() const noexcept { return (bits_ & kError) != 0; }
  constexpr bool is_empty() const noexcept { return bits_ == 0; }
  constexpr std::uint8_t bits() const noexcept { return bits_; }
  /// The part of it that `interest` asks for.
  constexpr Ready masked_by(Interest interest) const noexcept {
    return Ready(static_cast<std::uint8_t>(bits_ & mask_of(interest)));
  }
  RAMIE_API std::string to_string() const;

  static constexpr std::uint8_t mask_of(Interest interest) noexcept {
    unsigned mask = 0;
    if (has(interest, Interest::readable)) mask |= kReadable | kReadClosed;
    if (has(interest, Interest::writable)) mask |= kWritable | kWriteClosed;
    if (has(interest, Interest::priority)) mask |= kPriority | kReadClosed;
    if (has(interest, Interest::error)) mask |= kError;
    return static_cast<std::uint8_t>(mask);
  }

 private:
  std::uint8_t bits_;
};

/// Ties a descriptor, which stays the caller's, to the runtime's driver. The descriptor must be
/// non-blocking and must outlive the registration.
class Registration {
 public:
  Registration() noexcept = default;
  Registration(Registration&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)), fd_(std::exchange(other.fd_, -1)) {}
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      (void)deregister();
      shared_ = std::exchange(other.shared_, nullptr);
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Registration() { (void)deregister(); }

  /// Registers `fd` with the current runtime, once, edge-triggered.
  /// Returns  the registration.
  /// Errors   no_runtime, shutting_down; already_registered (among the descriptors of one epoll
  ///          instance); not permitted for regular files;
  ///          not_enough_memory.
  /// Blocks   never.
  /// Threads  any that runs fibers or has entered a runtime.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API static Result<Registration> create(int fd, Interest interest) noexcept;

  /// Waits until something of `interest` is there. Spurious success is possible: the operation then
  /// says EAGAIN.
  /// Returns  what is there, masked by `interest`; never empty.
  /// Errors   canceled, timed_out, shutting_down; bad_file_descriptor once deregistered.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number of waiters.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<Ready> readiness(Interest interest) noexcept;

  /// Calls `operation()` until it does not say EAGAIN (of the system category), waiting for
  /// `interest` in between.
  /// Returns  what `operation` returned, a Result.
  /// Errors   those of `operation`; bad_file_descriptor if nothing is registered; canceled,
  ///          timed_out, shutting_down.
  /// Blocks   this fiber.
  /// Threads  any number.
  /// Cancel   safe between two calls of `operation`.
  template <class F>
  [[nodiscard]] auto io(Interest interest, F&& operation) -> decltype(operation()) {
    if (auto entered = enter(); !entered) return failure(entered.error());
    for (;;) {
      const std::uint64_t seen = snapshot();
      auto outcome = operation();
      if (outcome || !would_block(outcome.error())) return outcome;
      clear(seen, interest);
      if (auto ready = readiness(interest); !ready) return failure(ready.error());
    }
  }

  /// Calls `operation()` once if something of `interest` is there, as far as the driver has heard.
  /// Returns  what `operation` returned, a Result.
  /// Errors   resource_unavailable_try_again (EAGAIN) if nothing is there; those of `operation`.
  /// Blocks   never.
  /// Threads  any number.
  /// Cancel   not a wait.
  template <class F>
  [[nodiscard]] auto try_io(Interest interest, F&& operation) -> decltype(operation()) {
    if (!is_registered()) return failure(std::make_error_code(std::errc::bad_file_descriptor));
    const std::uint64_t seen = snapshot();
    if (!has_any(seen, interest))
      return failure(std::make_error_code(std::errc::resource_unavailable_try_again));
    auto outcome = operation();
    if (!outcome && would_block(outcome.error())) clear(seen, interest);
    return outcome;
  }

  /// Ends the tie. Waiters are ended with `canceled`.
  /// Returns  success; also if the descriptor was closed already.
  /// Errors   those of the kernel; the tie is ended all the same.
  /// Blocks   never.
  /// Threads  one, and nobody may use the registration meanwhile.
  /// Cancel   not a wait.
  RAMIE_API Result<void> deregister() noexcept;

  bool is_registered() const noexcept { return shared_ != nullptr; }
  int fd() const noexcept { return fd_; }
  /// For the library's own sockets.
  ScheduledIo* shared() const noexcept { return shared_; }
  /// deregister() for them; true: a read that waits in a ring closes the descriptor when it has
  /// ended.
  RAMIE_API bool leave() noexcept;

 private:
  Registration(ScheduledIo* shared, int fd) noexcept : shared_(shared), fd_(fd) {}

  RAMIE_API Result<void> enter() noexcept;
  RAMIE_API std::uint64_t snapshot() const noexcept;
  RAMIE_API void clear(std::uint64_t seen, Interest interest) noexcept;
  RAMIE_API static bool has_any(std::uint64_t seen, Interest interest) noexcept;
  static bool would_block(const std::error_code& code) noexcept {
    return code == std::errc::operation_would_block && code.category() == std::system_category();
  }

  ScheduledIo* shared_ = nullptr;
  int fd_ = -1;
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
