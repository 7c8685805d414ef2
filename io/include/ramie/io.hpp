// Readiness of descriptors: what to wait for, what is there, and the tie between a descriptor and
// the driver.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
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
  /// A read would not wait: data, an end, or an error.
  constexpr bool is_readable() const noexcept { return (bits_ & (kReadable | kReadClosed)) != 0; }
  constexpr bool is_writable() const noexcept { return (bits_ & (kWritable | kWriteClosed)) != 0; }
  /// The kernel said that nothing comes any more (EPOLLRDHUP or EPOLLHUP): the end of a TCP
  /// connection, after what is still to be read. It is a hint, the read decides: a socket that is
  /// not connected yet says so, too, and a FIFO until its next writer comes.
  constexpr bool is_read_closed() const noexcept { return (bits_ & kReadClosed) != 0; }
  /// The same for sending (EPOLLHUP). A hint, too.
  constexpr bool is_write_closed() const noexcept { return (bits_ & kWriteClosed) != 0; }
  constexpr bool is_priority() const noexcept { return (bits_ & kPriority) != 0; }
  /// Something is in the error queue, or the next call will say what is wrong.
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

/// What a wait for readiness has found; see Registration::guard(). Its end spends the readiness:
/// the next wait asks the kernel whether it is still there.
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
  /// The call has said EAGAIN: the next wait waits for what comes after. An event that came since
  /// the guard was made stays.
  RAMIE_API void clear() noexcept;
  /// Not used up: the next wait finds all of it again, errors too.
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

/// Ties a descriptor, which stays the caller's, to the runtime's driver. The descriptor must be
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

  /// Registers `fd` with the current runtime, once, edge-triggered.
  /// Returns  the registration.
  /// Errors   no_runtime, shutting_down; already_registered (among the descriptors of one epoll
  ///          instance); not permitted for regular files;
  ///          not_enough_memory.
  /// Blocks   never.
  /// Threads  any that runs fibers or has entered a runtime.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API static Result<Registration> create(int fd, Interest interest) noexcept;

  /// Waits until something of `interest` is there, as poll(2) would: for libraries that make the
  /// calls themselves. What they leave is reported again, what they have taken is not. An error
  /// (EPOLLERR) is reported once: make the call, and empty the error queue. Spurious success is
  /// possible: the call then says EAGAIN, and the next wait waits. With a call of your own, io() is
  /// cheaper: this function asks the kernel again before it believes what it remembers.
  /// Returns  what is there, masked by `interest`; never empty.
  /// Errors   canceled, timed_out, shutting_down; bad_file_descriptor once deregistered.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number of waiters.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<Ready> readiness(Interest interest) noexcept;
  /// The same, with a say in what becomes of the readiness: clear(), retain(), or neither.
  /// The guard must not outlive the registration.
  [[nodiscard]] RAMIE_API Result<ReadyGuard> guard(Interest interest) noexcept;

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
  /// -1 if nothing is registered.
  RAMIE_API int fd() const noexcept;

 private:
  friend class ScheduledIo;
  explicit Registration(ScheduledIo* shared) noexcept : shared_(shared) {}

  // Calls is_done(context) until it returns true; waits for `interest` in between.
  RAMIE_API Result<void> repeat(Interest interest, bool (*is_done)(void* context), void* context);
  RAMIE_API std::uint64_t snapshot() const noexcept;
  RAMIE_API void clear(std::uint64_t seen, Interest interest) noexcept;
  RAMIE_API static bool has_any(std::uint64_t seen, Interest interest) noexcept;
  static bool would_block(const std::error_code& code) noexcept {
    return code == std::errc::operation_would_block && code.category() == std::system_category();
  }

  ScheduledIo* shared_ = nullptr;
};

/// An object that has a descriptor, such as a library's connection, and the descriptor's tie to the
/// runtime. The descriptor must be non-blocking and stay the same.
///   auto inbox = AsyncFd<Connection>::create(std::move(connection), number, Interest::readable);
///   while (auto guard = inbox->readable()) inbox->get().take_what_is_there();
template <class T>
class AsyncFd {
 public:
  AsyncFd(AsyncFd&&) noexcept = default;
  AsyncFd& operator=(AsyncFd&& other) noexcept {
    if (this == &other) return *this;
    (void)registration_.deregister();  // before its object closes the descriptor
    object_ = std::move(other.object_);
    registration_ = std::move(other.registration_);
    return *this;
  }
  ~AsyncFd() = default;

  /// Owns `object` from now on, and registers `fd`, which belongs to it.
  /// Returns  both.
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

  /// As Registration::guard() and readiness().
  [[nodiscard]] Result<ReadyGuard> readable() noexcept { return ready(Interest::readable); }
  [[nodiscard]] Result<ReadyGuard> writable() noexcept { return ready(Interest::writable); }
  [[nodiscard]] Result<ReadyGuard> ready(Interest interest) noexcept {
    return registration_.guard(interest);
  }
  /// As Registration::io() and try_io(), with `operation(object)`.
  template <class F>
  [[nodiscard]] auto io(Interest interest, F&& operation) {
    return registration_.io(interest, [&] { return operation(object_); });
  }
  template <class F>
  [[nodiscard]] auto try_io(Interest interest, F&& operation) {
    return registration_.try_io(interest, [&] { return operation(object_); });
  }

  Registration& registration() noexcept { return registration_; }
  /// Ends the tie and gives the object back.
  [[nodiscard]] T into_inner() {
    (void)registration_.deregister();
    return std::move(object_);
  }

 private:
  AsyncFd(T object, Registration registration) noexcept
      : object_(std::move(object)), registration_(std::move(registration)) {}

  T object_;
  Registration registration_;  // ends first
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
