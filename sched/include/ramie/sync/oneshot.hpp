// oneshot: one value from one sender to one receiver, such as the answer to a request.
#pragma once

#include <ramie/sync/wait_queue.hpp>

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace ramie::inline v0::sync::oneshot {

namespace detail {

// Everything but the value. It has two references: the sender's and the receiver's.
class Core {
 public:
  enum : std::uint32_t {
    kSending = 1,    // a value is on its way
    kValue = 2,      // it is there
    kSenderEnd = 4,  // nothing will come (any more)
    kClosed = 8,     // the receiver wants no value (any more)
    kReceiverWaits = 16,
    kSenderWaits = 32,
  };

  std::uint32_t state() const noexcept { return state_.load(std::memory_order_acquire); }
  // Returns false if it is closed.
  [[nodiscard]] RAMIE_API bool begin_send() noexcept;
  RAMIE_API void end_send(std::uint32_t bits) noexcept;
  RAMIE_API void close() noexcept;
  [[nodiscard]] RAMIE_API Result<void> wait_value() noexcept;
  [[nodiscard]] RAMIE_API Result<void> wait_closed() noexcept;
  void took_value() noexcept { state_.fetch_and(~kValue, std::memory_order_acq_rel); }
  // Returns true if the caller had the last reference.
  [[nodiscard]] bool release() noexcept {
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

 private:
  void wake(ramie::detail::WaitQueue& queue) noexcept;

  ramie::detail::Atomic<std::uint32_t> state_{0};
  ramie::detail::Atomic<std::uint32_t> references_{2};
  ramie::detail::WaitQueue receiver_;
  ramie::detail::WaitQueue sender_;
};

template <class T>
class Shared : public Core {
 public:
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a value that throws on its way would be lost: send a std::unique_ptr to it");
  Shared() noexcept {}
  ~Shared() {
    if ((state() & kValue) != 0) value.~T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  union {
    T value;
  };
};

}  // namespace detail

/// The sending half. Dropping it unused tells the receiver that nothing will come.
template <class T>
class Sender {
 public:
  Sender() noexcept = default;
  explicit Sender(detail::Shared<T>* shared) noexcept : shared_(shared) {}
  Sender(Sender&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Sender& operator=(Sender&& other) noexcept {
    if (this != &other) {
      drop();
      shared_ = std::exchange(other.shared_, nullptr);
    }
    return *this;
  }
  ~Sender() { drop(); }

  /// Sends the value. The sender is spent then.
  /// Returns  success; the receiver may still go without looking at it.
  /// Errors   closed if the receiver is gone or closed; spent if a value was sent already, or this
  ///          sender was moved from. Then `value` is untouched.
  /// Threads  any, one at a time.
  [[nodiscard]] Result<void> send(T&& value) noexcept {
    if (shared_ == nullptr) return failure(errc::spent);
    if (!shared_->begin_send()) return failure(errc::closed);
    ::new (static_cast<void*>(std::addressof(shared_->value))) T(std::move(value));
    finish(detail::Core::kValue | detail::Core::kSenderEnd);
    return {};
  }
  [[nodiscard]] Result<void> send(const T& value) {
    T copy(value);
    return send(std::move(copy));
  }

  /// Waits until the receiver is gone or closed, so that nobody wants the value any more.
  /// Returns  success; at once if this sender is spent.
  /// Errors   canceled, timed_out, shutting_down.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, one at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] Result<void> closed() noexcept {
    return shared_ == nullptr ? Result<void>{} : shared_->wait_closed();
  }

  bool is_closed() const noexcept {
    return shared_ == nullptr || (shared_->state() & detail::Core::kClosed) != 0;
  }

 private:
  void finish(std::uint32_t bits) noexcept {
    detail::Shared<T>* shared = std::exchange(shared_, nullptr);
    shared->end_send(bits);
    if (shared->release()) delete shared;
  }
  void drop() noexcept {
    if (shared_ != nullptr) finish(detail::Core::kSenderEnd);
  }

  detail::Shared<T>* shared_ = nullptr;
};

/// The receiving half. Dropping it makes send() fail.
template <class T>
class Receiver {
 public:
  Receiver() noexcept = default;
  explicit Receiver(detail::Shared<T>* shared) noexcept : shared_(shared) {}
  Receiver(Receiver&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)),
        has_received_(std::exchange(other.has_received_, false)) {}
  Receiver& operator=(Receiver&& other) noexcept {
    if (this != &other) {
      drop();
      shared_ = std::exchange(other.shared_, nullptr);
      has_received_ = std::exchange(other.has_received_, false);
    }
    return *this;
  }
  ~Receiver() { drop(); }

  /// Waits for the value.
  /// Returns  the value, once.
  /// Errors   closed if the sender is gone and has sent nothing; spent if the value was taken
  ///          before, or this receiver was moved from; canceled, timed_out, shutting_down.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, one at a time.
  /// Cancel   safe: the value is not lost, and recv() may be called again.
  [[nodiscard]] Result<T> recv() noexcept {
    if (shared_ == nullptr || has_received_) return failure(errc::spent);
    if (auto waited = shared_->wait_value(); !waited) return failure(waited.error());
    return take();
  }

  /// Takes the value if it is there.
  /// Returns  the value, once.
  /// Errors   empty if it may still come; closed, spent as recv().
  /// Threads  any, one at a time.
  [[nodiscard]] Result<T> try_recv() noexcept {
    if (shared_ == nullptr || has_received_) return failure(errc::spent);
    const std::uint32_t state = shared_->state();
    if ((state & detail::Core::kValue) != 0) return take();
    const bool is_over =
        (state & detail::Core::kSenderEnd) != 0 ||
        (state & (detail::Core::kClosed | detail::Core::kSending)) == detail::Core::kClosed;
    return failure(is_over ? errc::closed : errc::empty);
  }

  /// Refuses a value from now on. A value that was sent before can still be received.
  /// Threads  any, one at a time.
  void close() noexcept {
    if (shared_ != nullptr) shared_->close();
  }

 private:
  Result<T> take() noexcept {
    has_received_ = true;
    struct Empty {
      detail::Shared<T>& shared;
      ~Empty() {
        shared.value.~T();
        shared.took_value();
      }
    } empty{*shared_};
    return Result<T>(std::in_place, std::move(shared_->value));
  }
  void drop() noexcept {
    detail::Shared<T>* shared = std::exchange(shared_, nullptr);
    if (shared == nullptr) return;
    shared->close();
    if (shared->release()) delete shared;
  }

  detail::Shared<T>* shared_ = nullptr;
  bool has_received_ = false;
};

/// Returns the two halves of a new channel for one value.
/// Errors   throws std::bad_alloc (there is one allocation).
template <class T>
[[nodiscard]] std::pair<Sender<T>, Receiver<T>> channel() {
  auto* shared = new detail::Shared<T>;
  return {Sender<T>(shared), Receiver<T>(shared)};
}

}  // namespace ramie::inline v0::sync::oneshot
