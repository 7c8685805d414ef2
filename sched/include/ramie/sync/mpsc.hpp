// mpsc: a bounded channel from many senders to one receiver.
//
// Senders of a full channel wait, so a slow receiver cannot fill the memory. Rejected: values of
// types whose move may throw. Such a value could be lost half way; send a std::unique_ptr to it.
#pragma once

#include <ramie/sync/channel_core.hpp>

#include <algorithm>
#include <bit>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace ramie::inline v0::sync::mpsc {

namespace detail {

// The ring of slots. The one sender that claimed a slot's position writes the slot, and the
// receiver empties it before its position comes round again.
template <class T>
class Channel : public ChannelCore {
 public:
  static_assert(alignof(T) <= 4096);
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a value that throws on its way would be lost: send a std::unique_ptr to it");

  explicit Channel(std::uint32_t capacity)
      : ChannelCore(capacity),
        mask_(std::bit_ceil(capacity) - 1),
        room_(std::size_t{mask_} + 1, sizeof(Slot), alignof(Slot)),
        slots_(static_cast<Slot*>(room_.get())) {
    if constexpr (ramie::detail::kIsModel)
      for (std::size_t i = 0; i <= mask_; ++i) ::new (slots_ + i) Slot;
  }
  ~Channel() {
    if constexpr (ramie::detail::kIsModel)
      for (std::size_t i = 0; i <= mask_; ++i) slots_[i].~Slot();
  }

  Flag& ready(std::uint32_t position) noexcept { return slots_[position & mask_].ready; }
  T* value(std::uint32_t position) noexcept {
    return std::launder(reinterpret_cast<T*>(slots_[position & mask_].bytes));
  }

  void put(Place place, T&& value) noexcept {
    Slot& slot = slots_[place.position & mask_];
    ::new (static_cast<void*>(slot.bytes)) T(std::move(value));
    slot.ready.store(true, std::memory_order_release);
    if (place.claim == Claim::claimed_wake) [[unlikely]]
      wake_receiver();
  }
  // True: the value at the head is there.
  Result<T> take() noexcept {
    const Emptied emptied{*this};
    return Result<T>(std::in_place, std::move(*value(head())));
  }
  void discard_at(std::uint32_t position) noexcept {
    value(position)->~T();
    ready(position).store(false, std::memory_order_relaxed);
  }
  bool has_value() noexcept { return ready(head()).load(std::memory_order_acquire); }

  void release_sender() noexcept {
    if (drop_sender()) delete this;
  }
  void release_receiver() noexcept {
    begin_drop();
    while (look_for_value(ready(head()))) (void)take();
    if (drop_receiver()) delete this;
  }

 private:
  struct Slot {
    Flag ready{false};
    alignas(T) std::byte bytes[sizeof(T)];
  };
  struct Emptied {
    Channel& channel;
    ~Emptied() {
      channel.discard_at(channel.head());
      channel.advance(1);
    }
  };

  const std::uint32_t mask_;
  const Room room_;
  Slot* const slots_;  // zeroes are slots that are not ready
};

}  // namespace detail

template <class T>
class Sender;

/// Room for one value, so that send() does not wait. Dropping it gives the room back.
template <class T>
class Permit {
 public:
  Permit() noexcept = default;
  Permit(Permit&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Permit& operator=(Permit&& other) noexcept {
    if (this != &other) {
      drop();
      channel_ = std::exchange(other.channel_, nullptr);
    }
    return *this;
  }
  ~Permit() { drop(); }

  /// Sends the value. The permit is spent then. It also works after Receiver::close().
  /// Returns  success: the receiver will find it.
  /// Errors   closed if the receiver is gone, spent if the permit was used or moved from; then
  ///          `value` is untouched.
  /// Threads  any, one at a time.
  [[nodiscard]] Result<void> send(T&& value) noexcept {
    detail::Channel<T>* channel = std::exchange(channel_, nullptr);
    if (channel == nullptr) return failure(errc::spent);
    const auto place = channel->use_permit();
    const bool is_closed = place.claim == detail::ChannelCore::Claim::closed;
    if (!is_closed) channel->put(place, std::move(value));
    channel->release_sender();
    if (is_closed) return failure(errc::closed);
    return {};
  }
  [[nodiscard]] Result<void> send(const T& value) {
    T copy(value);
    return send(std::move(copy));
  }

 private:
  friend class Sender<T>;
  explicit Permit(detail::Channel<T>* channel) noexcept : channel_(channel) {
    channel_->add_sender();
  }
  void drop() noexcept {
    detail::Channel<T>* channel = std::exchange(channel_, nullptr);
    if (channel == nullptr) return;
    channel->give_permit_back();
    channel->release_sender();
  }

  detail::Channel<T>* channel_ = nullptr;
};

/// The sending half. Copy it freely. When the last one is gone, the receiver's recv() ends. The
/// functions of one that was moved from return `spent`.
template <class T>
class Sender {
  using Core = detail::ChannelCore;

 public:
  Sender() noexcept = default;
  explicit Sender(detail::Channel<T>* channel) noexcept : channel_(channel) {}
  Sender(const Sender& other) noexcept : channel_(other.channel_) {
    if (channel_ != nullptr) channel_->add_sender();
  }
  Sender(Sender&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Sender& operator=(Sender other) noexcept {
    std::swap(channel_, other.channel_);
    return *this;
  }
  ~Sender() {
    if (channel_ != nullptr) channel_->release_sender();
  }

  /// Waits until there is room, then sends.
  /// Returns  success: the receiver will find it, unless the receiver goes first.
  /// Errors   closed; canceled, timed_out, shutting_down. On any error `value` is untouched.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, also several on one Sender.
  /// Cancel   safe: nothing was sent, and the place in the queue is given up.
  [[nodiscard]] Result<void> send(T&& value) noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    if (auto entered = ramie::detail::enter_wait(); !entered) return entered;
    auto place = channel_->try_claim();
    if (place.claim >= Core::Claim::full) [[unlikely]] {
      if (place.claim == Core::Claim::closed) return failure(errc::closed);
      if (auto waited = channel_->wait_room(); !waited) return waited;
      place = channel_->use_permit();
      if (place.claim == Core::Claim::closed) return failure(errc::closed);
    }
    channel_->put(place, std::move(value));
    return {};
  }
  [[nodiscard]] Result<void> send(const T& value) {
    T copy(value);
    return send(std::move(copy));
  }

  /// Sends if there is room and no sender waits.
  /// Returns  success: the receiver will find it, unless the receiver goes first.
  /// Errors   full, closed; then `value` is untouched.
  /// Threads  any, also several on one Sender.
  [[nodiscard]] Result<void> try_send(T&& value) noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    const auto place = channel_->try_claim();
    if (place.claim == Core::Claim::closed) return failure(errc::closed);
    if (place.claim == Core::Claim::full) return failure(errc::full);
    channel_->put(place, std::move(value));
    return {};
  }
  [[nodiscard]] Result<void> try_send(const T& value) {
    T copy(value);
    return try_send(std::move(copy));
  }

  /// Waits until there is room, and keeps it for one value. Use it to be sure of the room before
  /// you make the value.
  /// Returns  the permit. It keeps the channel open, as a Sender does.
  /// Errors   closed; canceled, timed_out, shutting_down.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, also several on one Sender.
  /// Cancel   safe: may be retried, at the end of the queue.
  [[nodiscard]] Result<Permit<T>> reserve() noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    if (auto entered = ramie::detail::enter_wait(); !entered) return failure(entered.error());
    const auto claim = channel_->try_reserve();
    if (claim == Core::Claim::closed) return failure(errc::closed);
    if (claim == Core::Claim::full)
      if (auto waited = channel_->wait_room(); !waited) return failure(waited.error());
    return Permit<T>(channel_);
  }
  /// reserve() without waiting: returns `full` instead.
  [[nodiscard]] Result<Permit<T>> try_reserve() noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    const auto claim = channel_->try_reserve();
    if (claim == Core::Claim::closed) return failure(errc::closed);
    if (claim == Core::Claim::full) return failure(errc::full);
    return Permit<T>(channel_);
  }

  /// Waits until the receiver is gone or closed.
  /// Returns  success.
  /// Errors   canceled, timed_out, shutting_down.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, also several on one Sender.
  /// Cancel   safe: may be retried.
  [[nodiscard]] Result<void> closed() noexcept {
    return channel_ == nullptr ? Result<void>{} : channel_->wait_closed();
  }

  bool is_closed() const noexcept { return channel_ == nullptr || channel_->is_closed(); }
  /// Values sent and not received.
  std::size_t len() const noexcept { return channel_ == nullptr ? 0 : channel_->size(); }
  /// The bound that the channel was made with.
  std::size_t capacity() const noexcept { return channel_ == nullptr ? 0 : channel_->capacity(); }

 private:
  detail::Channel<T>* channel_ = nullptr;
};

/// The receiving half. Dropping it closes the channel and drops the values that were not received.
/// The functions of one that was moved from return `spent`.
template <class T>
class Receiver {
 public:
  Receiver() noexcept = default;
  explicit Receiver(detail::Channel<T>* channel) noexcept : channel_(channel) {}
  Receiver(Receiver&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Receiver& operator=(Receiver&& other) noexcept {
    if (this != &other) {
      drop();
      channel_ = std::exchange(other.channel_, nullptr);
    }
    return *this;
  }
  ~Receiver() { drop(); }

  /// Waits for the next value.
  /// Returns  the value. Values of one sender come in the order in which it sent them.
  /// Errors   closed if the channel is empty and all senders are gone, or it was closed and no
  ///          permit is left; canceled, timed_out, shutting_down.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, one at a time.
  /// Cancel   safe: no value is lost.
  [[nodiscard]] Result<T> recv() noexcept {
    if (auto waited = wait(); !waited) return failure(waited.error());
    return channel_->take();
  }

  /// Takes the next value if it is there.
  /// Returns  the value.
  /// Errors   empty; closed as recv().
  /// Threads  any, one at a time.
  [[nodiscard]] Result<T> try_recv() noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    if (!channel_->has_value())
      if (auto seen = channel_->look_for_value(channel_->ready(channel_->head())); !seen)
        return failure(seen.error());
    return channel_->take();
  }

  /// Waits for a value, then appends all that are there to `values`, at most `limit`.
  /// Returns  how many, at least 1; 0 if `limit` is 0.
  /// Errors   as recv(). Throws std::bad_alloc; on any error no value was taken.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, one at a time.
  /// Cancel   safe: no value is lost.
  [[nodiscard]] Result<std::size_t> recv_many(std::vector<T>& values, std::size_t limit) {
    if (limit == 0) return std::size_t{0};
    if (auto waited = wait(); !waited) return failure(waited.error());
    const std::size_t most = std::min<std::size_t>(limit, channel_->size());
    const std::size_t needed = values.size() + most;
    if (values.capacity() < needed) values.reserve(std::max(needed, 2 * values.capacity()));
    std::uint32_t n = 0;
    const std::uint32_t head = channel_->head();
    while (n < most && channel_->ready(head + n).load(std::memory_order_acquire)) {
      values.push_back(std::move(*channel_->value(head + n)));
      channel_->discard_at(head + n++);
    }
    channel_->advance(n);
    return std::size_t{n};
  }

  /// Refuses values from now on. Values that were sent before, and those of permits, can still be
  /// received.
  /// Returns  when all waiting senders are made runnable; their sends return `closed`. A second
  ///          call does nothing.
  /// Threads  any, one at a time.
  void close() noexcept {
    if (channel_ != nullptr) channel_->close();
  }

  bool is_closed() const noexcept { return channel_ == nullptr || channel_->is_closed(); }
  /// Values sent and not received.
  std::size_t len() const noexcept { return channel_ == nullptr ? 0 : channel_->size(); }
  /// The bound that the channel was made with.
  std::size_t capacity() const noexcept { return channel_ == nullptr ? 0 : channel_->capacity(); }

 private:
  Result<void> wait() noexcept {
    if (channel_ == nullptr) return failure(errc::spent);
    if (auto entered = ramie::detail::enter_wait(); !entered) return entered;
    if (channel_->has_value()) return {};
    return channel_->wait_value(channel_->ready(channel_->head()));
  }
  void drop() noexcept {
    if (channel_ != nullptr) std::exchange(channel_, nullptr)->release_receiver();
  }

  detail::Channel<T>* channel_ = nullptr;
};

namespace detail {
// Stops the program unless 1 <= capacity <= 2^24 - 1.
RAMIE_API std::uint32_t check_capacity(std::size_t capacity) noexcept;
}  // namespace detail

/// Returns the two halves of a new channel that holds at most `capacity` values. Address space for
/// them is taken at once, and memory when values come, so a send never needs any.
/// Errors   throws std::bad_alloc; stops the program unless 1 <= capacity < 2^24.
template <class T>
[[nodiscard]] std::pair<Sender<T>, Receiver<T>> channel(std::size_t capacity) {
  auto* channel = new detail::Channel<T>(detail::check_capacity(capacity));
  return {Sender<T>(channel), Receiver<T>(channel)};
}

}  // namespace ramie::inline v0::sync::mpsc
