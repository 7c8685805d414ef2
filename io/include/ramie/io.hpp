// Readiness of descriptors: what to wait for, what is ready, and Registration, which ties a
// descriptor to the runtime's driver.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace ramie::inline v0::io {

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

/// What is ready, as far as the driver knows.
class Ready {
 public:
  static constexpr std::uint8_t kReadable = 1, kWritable = 2, kReadClosed = 4, kWriteClosed = 8,
                                kPriority = 16, kError = 32, kAll = 63;

  constexpr explicit Ready(std::uint8_t bits = 0) noexcept : bits_(bits) {}
  /// A read would not wait: there is data, the end, or an error.
  constexpr bool is_readable() const noexcept { return (bits_ & (kReadable | kReadClosed)) != 0; }
  constexpr bool is_writable() const noexcept { return (bits_ & (kWritable | kWriteClosed)) != 0; }
  /// The kernel reported that nothing more will come (EPOLLRDHUP or EPOLLHUP). For a TCP connection
  /// that is the end, after the data that is still to be read. It is only a hint, and the read
  /// decides: a socket that is not connected yet reports it too, and so does a FIFO without a
  /// writer.
  constexpr bool is_read_closed() const noexcept { return (bits_ & kReadClosed) != 0; }
  /// The same for sending (EPOLLHUP). It is only a hint too.
  constexpr bool is_write_closed() const noexcept { return (bits_ & kWriteClosed) != 0; }
  constexpr bool is_priority() const noexcept { return (bits_ & kPriority) != 0; }
  /// The error queue holds something, or the next call returns an error.
  constexpr bool is_error() const noexcept { return (bits_ & kError) != 0; }
  constexpr bool is_empty() const noexcept { return bits_ == 0; }
  constexpr std::uint8_t bits() const noexcept { return bits_; }
  /// The part of this that `interest` asks for.
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

/// What a wait for readiness found; see Registration::guard(). Its destructor uses the readiness
/// up: the next wait asks the kernel whether it is still there.
class [[nodiscard]] ReadyGuard {
 public:
  ReadyGuard(ReadyGuard&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)),
        seen_(other.seen_),
        interest_(other.interest_),
        ready_(other.ready_) {}
  ReadyGuard& operator=(ReadyGuard&& other) noexcept {
    if (this == &other) return *this;
    spend();
    shared_ = std::exchange(other.shared_, nullptr);
    seen_ = other.seen_;
    interest_ = other.interest_;
    ready_ = other.ready_;
    return *this;
  }
  ~ReadyGuard() { spend(); }

  Ready ready() const noexcept { return ready_; }
  /// Call this after EAGAIN: the next wait waits for a new event. An event that arrived after the
  /// guard was made is kept.
  RAMIE_API void clear() noexcept;
  /// Call this if the readiness was not used: the next wait finds all of it again, errors too.
  void retain() noexcept { shared_ = nullptr; }

 private:
  friend class Registration;
  ReadyGuard(ScheduledIo& shared, std::uint64_t seen, Interest interest, Ready ready) noexcept
      : shared_(&shared), seen_(seen), interest_(interest), ready_(ready) {}
  RAMIE_API void spend() noexcept;

  ScheduledIo* shared_;
  std::uint64_t seen_;
  Interest interest_;
  Ready ready_;
};

/// Ties a descriptor to the runtime's driver. The descriptor stays the caller's. It must be
/// non-blocking and must outlive the registration.
class Registration {
 public:
  Registration() noexcept = default;
  Registration(Registration&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      (void)deregister();
      shared_ = std::exchange(other.shared_, nullptr);
    }
    return *this;
  }
  ~Registration() { (void)deregister(); }

  /// Registers `fd` with the current runtime, edge-triggered, for as long as the Registration
  /// lives.
  /// Errors   no_runtime, shutting_down; already_registered (with the same epoll instance);
  ///          operation_not_permitted for regular files; not_enough_memory.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] RAMIE_API static Result<Registration> create(int fd, Interest interest) noexcept;

  /// Waits until `interest` is ready, as poll(2) would. It is meant for libraries that make the
  /// calls themselves. What they do not take is reported again; what they have taken is not. An
  /// error (EPOLLERR) is reported once: make the call, and empty the error queue. A success may be
  /// spurious: then the call returns EAGAIN, and the next wait waits. For a call of your own io()
  /// is cheaper, because this function asks the kernel again before it trusts remembered readiness.
  /// Returns  what is ready, masked by `interest`; never empty.
  /// Errors   canceled, timed_out, shutting_down; bad_file_descriptor once deregistered.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number of waiters.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<Ready> readiness(Interest interest) noexcept;
  /// As readiness(), but the caller decides what becomes of the readiness: clear(), retain(), or
  /// neither. The guard must not outlive the registration.
  [[nodiscard]] RAMIE_API Result<ReadyGuard> guard(Interest interest) noexcept;

  /// Calls `operation()`, waits for `interest`, and repeats that until the operation returns
  /// something other than EAGAIN (of the system category).
  /// Returns  what `operation` returned, which must be a Result.
  /// Errors   those of `operation`; bad_file_descriptor if nothing is registered; canceled,
  ///          timed_out, shutting_down.
  /// Blocks   this fiber.
  /// Threads  any number.
  /// Cancel   safe between two calls of `operation`.
  template <class F>
  [[nodiscard]] auto io(Interest interest, F&& operation) -> decltype(operation()) {
    std::optional<decltype(operation())> outcome;
    auto attempt = [&] {
      outcome.emplace(operation());
      return outcome->has_value() || !would_block(outcome->error());
    };
    using Attempt = decltype(attempt);
    const auto is_done = [](void* context) { return (*static_cast<Attempt*>(context))(); };
    if (auto done = repeat(interest, is_done, &attempt); !done) return failure(done.error());
    return std::move(*outcome);
  }

  /// Calls `operation()` once if `interest` is ready, as far as the driver knows.
  /// Returns  what `operation` returned, which must be a Result.
  /// Errors   resource_unavailable_try_again (EAGAIN) if it is not ready; those of `operation`.
  /// Threads  any number.
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

  /// Ends the registration. Waiters end with `canceled`.
  /// Returns  success, also if the descriptor was closed already.
  /// Errors   those of the kernel; the registration has ended nevertheless.
  /// Threads  one; no other may use the registration meanwhile.
  RAMIE_API Result<void> deregister() noexcept;

  bool is_registered() const noexcept { return shared_ != nullptr; }
  /// -1 if nothing is registered.
  RAMIE_API int fd() const noexcept;

 private:
  friend class ScheduledIo;
  explicit Registration(ScheduledIo* shared) noexcept : shared_(shared) {}

  // Calls is_done(context) until it returns true. Waits for `interest` in between.
  RAMIE_API Result<void> repeat(Interest interest, bool (*is_done)(void* context), void* context);
  RAMIE_API std::uint64_t snapshot() const noexcept;
  RAMIE_API void clear(std::uint64_t seen, Interest interest) noexcept;
  RAMIE_API static bool has_any(std::uint64_t seen, Interest interest) noexcept;
  static bool would_block(const std::error_code& code) noexcept {
    return code == std::errc::operation_would_block && code.category() == std::system_category();
  }

  ScheduledIo* shared_ = nullptr;
};

/// An object that has a descriptor, such as a library's connection, together with the descriptor's
/// registration. The descriptor must be non-blocking and must not change.
///   auto inbox = AsyncFd<Connection>::create(std::move(connection), number, Interest::readable);
///   while (auto guard = inbox->readable()) inbox->get().take_what_is_there();
template <class T>
class AsyncFd {
 public:
  AsyncFd(AsyncFd&&) noexcept = default;
  AsyncFd& operator=(AsyncFd&& other) noexcept {
    if (this == &other) return *this;
    (void)registration_.deregister();  // before the object closes the descriptor
    object_ = std::move(other.object_);
    registration_ = std::move(other.registration_);
    return *this;
  }
  ~AsyncFd() = default;

  /// Takes ownership of `object` and registers `fd`, which belongs to it.
  /// Errors   as Registration::create(); `object` is destroyed then.
  [[nodiscard]] static Result<AsyncFd> create(T object, int fd,
                                              Interest interest = Interest::readable |
                                                                  Interest::writable) {
    auto registration = Registration::create(fd, interest);
    if (!registration) return failure(registration.error());
    return AsyncFd(std::move(object), std::move(*registration));
  }

  T& get() noexcept { return object_; }
  const T& get() const noexcept { return object_; }
  T& operator*() noexcept { return object_; }
  T* operator->() noexcept { return &object_; }
  int fd() const noexcept { return registration_.fd(); }

  /// See Registration::guard() and readiness().
  [[nodiscard]] Result<ReadyGuard> readable() noexcept { return ready(Interest::readable); }
  [[nodiscard]] Result<ReadyGuard> writable() noexcept { return ready(Interest::writable); }
  [[nodiscard]] Result<ReadyGuard> ready(Interest interest) noexcept {
    return registration_.guard(interest);
  }
  /// See Registration::io() and try_io(); the operation gets the object.
  template <class F>
  [[nodiscard]] auto io(Interest interest, F&& operation) {
    return registration_.io(interest, [&] { return operation(object_); });
  }
  template <class F>
  [[nodiscard]] auto try_io(Interest interest, F&& operation) {
    return registration_.try_io(interest, [&] { return operation(object_); });
  }

  Registration& registration() noexcept { return registration_; }
  /// Ends the registration and returns the object.
  [[nodiscard]] T into_inner() {
    (void)registration_.deregister();
    return std::move(object_);
  }

 private:
  AsyncFd(T object, Registration registration) noexcept
      : object_(std::move(object)), registration_(std::move(registration)) {}

  T object_;
  Registration registration_;  // destroyed before the object
};

}  // namespace ramie::inline v0::io
