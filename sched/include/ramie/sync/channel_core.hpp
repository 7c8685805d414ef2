// A bounded channel without its values: two words, the waiters of both sides, and whether a
// side has gone.
//
//   tail word   bits 63..32 next position to write | 31..8 permits | 7..0 flags
//   head word   bits 63..32 next position to read  | bit 0 SENDERS_WAIT
//
//   send   one CAS on the tail word: position + 1 if there is room and no sender waits; then the
//          value is moved into its slot; then the slot says that it is ready
//   recv   reads the slot at the head, then one addition to the head word
//
// used = tail - head + permits, and never above the capacity. A side that must wait announces it in
// the word that the other side changes next, so neither can miss the other. The receiver sets
// RECEIVER_WAITS in the tail word while tail == head, and the sender whose CAS turns it off wakes
// the receiver. Senders set SENDERS_WAIT in the head word, and the receiver's addition returns it.
//
// Between a sender's CAS and its slot's `ready` the receiver may see a gap. The gap lasts for one
// move of a value (which cannot throw), so the receiver yields until it is closed.
#pragma once

#include <ramie/sync/wait_queue.hpp>

#include <cstddef>

namespace ramie::inline v0::sync::mpsc::detail {

inline constexpr std::size_t kCacheLine = 128;
using Flag = ramie::detail::Atomic<bool>;  // of a slot: the value is there

// The memory of the slots: zeroes. Above a few pages it is only address space until a value comes,
// so an idle channel with a large bound costs almost nothing, and a send never has to ask for
// memory.
class Room {
 public:
  RAMIE_API Room(std::size_t count, std::size_t each,
                 std::size_t alignment);  // may throw bad_alloc
  RAMIE_API ~Room();
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  void* get() const noexcept { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  bool is_mapped_ = false;
};

class ChannelCore {
 public:
  static constexpr std::uint32_t kMaxCapacity = (1U << 24U) - 1;

  enum class Claim : std::uint8_t { claimed, claimed_wake, full, closed };
  struct Place {
    Claim claim;
    std::uint32_t position;
  };

  explicit ChannelCore(std::uint32_t capacity) noexcept : capacity_(capacity) {}
  ChannelCore(const ChannelCore&) = delete;
  ChannelCore& operator=(const ChannelCore&) = delete;

  // --- senders

  // Returns a position to write to, if there is room and no sender waits.
  Place try_claim() noexcept { return take_room(kTailUnit, kReceiverWaits); }
  // The same for a permit: room without a position.
  Claim try_reserve() noexcept { return take_room(kPermitUnit, 0).claim; }
  // Waits for room; success is a permit. The caller has called enter_wait().
  [[nodiscard]] RAMIE_API Result<void> wait_room() noexcept;
  // Turns a permit into a position. If the receiver is gone, returns `closed` and gives the permit
  // back.
  [[nodiscard]] RAMIE_API Place use_permit() noexcept;
  RAMIE_API void give_permit_back() noexcept;
  RAMIE_API void wake_receiver() noexcept;
  [[nodiscard]] RAMIE_API Result<void> wait_closed() noexcept;
  bool is_closed() const noexcept { return (tail_.load(std::memory_order_acquire) & kClosed) != 0; }

  void add_sender() noexcept { senders_.fetch_add(1, std::memory_order_relaxed); }
  // Returns true if the caller must destroy the channel.
  [[nodiscard]] RAMIE_API bool drop_sender() noexcept;

  // --- the receiver

  std::uint32_t head() const noexcept { return next_; }
  // `n` slots at the head are free again.
  void advance(std::uint32_t n) noexcept {
    next_ += n;
    const std::uint64_t old =
        head_.fetch_add(std::uint64_t{n} << kPositionShift, std::memory_order_acq_rel);
    if ((old & kSendersWait) != 0) [[unlikely]]
      let_senders_in();
  }
  // Waits until the head slot's word `ready` says so. `closed` if no value will come any more.
  [[nodiscard]] RAMIE_API Result<void> wait_value(const Flag& ready) noexcept;
  // The same, but waits only for a gap to close. Else `empty`.
  [[nodiscard]] RAMIE_API Result<void> look_for_value(const Flag& ready) noexcept;
  RAMIE_API void close() noexcept;
  RAMIE_API void begin_drop() noexcept;
  [[nodiscard]] RAMIE_API bool drop_receiver() noexcept;

  // --- anybody

  std::uint32_t capacity() const noexcept { return capacity_; }
  std::uint32_t size() const noexcept {
    // read first, so the result is never too small
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    return position_of(tail_.load(std::memory_order_acquire)) - position_of(head);
  }

 private:
  static constexpr std::uint64_t kReceiverWaits = 1;
  static constexpr std::uint64_t kSendersWait = 1;  // in the head word
  // the same in the tail word: new senders wait behind the others
  static constexpr std::uint64_t kQueued = 2;
  static constexpr std::uint64_t kClosed = 4;  // no new sends; permits may still be used
  static constexpr std::uint64_t kGone = 8;    // the receiver is gone: nothing may be sent
  static constexpr std::uint64_t kNoSenders = 16;
  static constexpr unsigned kPermitShift = 8;
  static constexpr unsigned kPositionShift = 32;
  static constexpr std::uint64_t kPermitUnit = std::uint64_t{1} << kPermitShift;
  static constexpr std::uint64_t kTailUnit = std::uint64_t{1} << kPositionShift;

  static std::uint32_t position_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> kPositionShift);
  }
  static std::uint32_t permits_of(std::uint64_t tail) noexcept {
    return static_cast<std::uint32_t>(tail) >> kPermitShift;
  }
  bool has_room(std::uint64_t tail, std::uint32_t head) const noexcept {
    return position_of(tail) - head + permits_of(tail) < capacity_;
  }

  Place take_room(std::uint64_t unit, std::uint64_t off) noexcept {
    std::uint64_t tail = tail_.load(std::memory_order_acquire);
    for (;;) {
      if ((tail & (kClosed | kQueued)) != 0) [[unlikely]]
        return {(tail & kClosed) != 0 ? Claim::closed : Claim::full, 0};
      if (!has_room(tail, head_seen_.load(std::memory_order_acquire))) {
        const std::uint32_t head = position_of(head_.load(std::memory_order_acquire));
        head_seen_.store(head, std::memory_order_release);
        // A tail that is older than the head proves nothing.
        const std::uint64_t again = tail_.load(std::memory_order_acquire);
        if (again == tail && !has_room(tail, head)) return {Claim::full, 0};
        if (again != tail) {
          tail = again;
          continue;
        }
      }
      if (tail_.compare_exchange_weak(tail, (tail + unit) & ~off, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) [[likely]]
        return {(tail & off) != 0 ? Claim::claimed_wake : Claim::claimed, position_of(tail)};
    }
  }

  RAMIE_API void let_senders_in() noexcept;
  bool take_permit_or_queue(bool& is_closed) noexcept;
  bool has_ended(std::uint64_t tail) const noexcept;
  bool is_value_or_end() noexcept;
  void clear_queued_if_empty() noexcept;
  void add_flags(std::uint64_t flags) noexcept;

  const std::uint32_t capacity_;
  ramie::detail::Atomic<std::uint32_t> senders_{1};
  ramie::detail::Atomic<std::uint32_t> owners_{2};  // the senders together, and the receiver
  ramie::detail::WaitQueue senders_queue_;
  ramie::detail::WaitQueue receiver_queue_;
  ramie::detail::WaitQueue closed_queue_;
  alignas(kCacheLine) ramie::detail::Atomic<std::uint64_t> tail_{0};
  ramie::detail::Atomic<std::uint32_t> head_seen_{0};  // by some sender; may lag
  alignas(kCacheLine) ramie::detail::Atomic<std::uint64_t> head_{0};
  std::uint32_t next_ = 0;  // the receiver's own copy of the head
};

}  // namespace ramie::inline v0::sync::mpsc::detail
