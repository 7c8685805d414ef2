// One descriptor's readiness, in one word.
//
//     bit 63..38 write tick | 37..12 read tick | 11 SHUTDOWN | 10 GONE | 9..6 ours | 5..0 Ready
//
// A tick counts the driver's reports for its direction. A fiber that got EAGAIN clears readiness
// only with the tick that it read before its call. So an edge that arrived in between survives;
// edge-triggered epoll would not report it again. A tick has 26 bits, so it cannot wrap between a
// snapshot and its clear (Tokio compares 8 bits).
//
// No bit is final. HUP, RDHUP and ERR are hints, and the call decides: a socket reports HUP before
// it is connected, ERR for an entry of its error queue, and a FIFO reports HUP until its next
// writer comes. EAGAIN clears these bits like the others; a later end is a new edge. A clear takes
// only the bits that its own kind of waiters uses (waited_for(), noted_for()), so it cannot hide an
// end from other waiters.
//
// I1 publish() comes before the waiters' lock. I3 GONE and SHUTDOWN are sticky: every transition
//   keeps them. I4 clear() needs the tick.
//
// Writers: publish() by the driver, clear() by fibers, shut_down() by the runtime, close() by the
// owner, reset() by the owner of an unused slot. All but reset() are read-modify-write.
#pragma once

#include "sched/base/atomic.hpp"

#include <ramie/io.hpp>

#include <cstdint>

namespace ramie::inline v0::io {

enum class Direction : std::uint8_t { read, write };

class IoState {
 public:
  using Bits = std::uint16_t;

  static constexpr Bits kReadable = Ready::kReadable, kWritable = Ready::kWritable,
                        kReadClosed = Ready::kReadClosed, kWriteClosed = Ready::kWriteClosed,
                        kPriority = Ready::kPriority, kError = Ready::kError;
  // News: an ERR that waiters of this kind have not heard of; see ScheduledIo::wait_for_level().
  static constexpr Bits kReadNews = 64, kWriteNews = 128, kErrorNews = 256;
  static constexpr Bits kPriorityClosed = 512;  // the end of the stream, for waits for urgent data
  static constexpr Bits kReadyMask = 1023;
  static constexpr Bits kReadSide =
      kReadable | kReadClosed | kPriority | kError | kReadNews | kErrorNews | kPriorityClosed;
  static constexpr Bits kWriteSide = kWritable | kWriteClosed | kWriteNews;

  // The bits that end a wait for `interest`.
  static constexpr Bits waited_for(Interest interest) noexcept {
    unsigned bits = 0;
    if (has(interest, Interest::readable)) bits |= kReadable | kReadClosed;
    if (has(interest, Interest::writable)) bits |= kWritable | kWriteClosed;
    if (has(interest, Interest::priority)) bits |= kPriority | kPriorityClosed;
    if (has(interest, Interest::error)) bits |= kError;
    return static_cast<Bits>(bits);
  }
  static constexpr Bits news_for(Interest interest) noexcept {
    unsigned bits = 0;
    if (has(interest, Interest::readable)) bits |= kReadNews;
    if (has(interest, Interest::writable)) bits |= kWriteNews;
    if (has(interest, Interest::error)) bits |= kErrorNews;
    return static_cast<Bits>(bits);
  }
  // The bits that a call for `interest` uses up.
  static constexpr Bits moved_by(Interest interest) noexcept {
    unsigned bits = 0;
    if (has(interest, Interest::readable)) bits |= kReadable;
    if (has(interest, Interest::writable)) bits |= kWritable;
    return static_cast<Bits>(bits);
  }
  // All bits that EAGAIN disproves.
  static constexpr Bits noted_for(Interest interest) noexcept {
    return static_cast<Bits>(waited_for(interest) | news_for(interest));
  }

  struct Snapshot {
    std::uint64_t word;

    Bits ready() const noexcept { return static_cast<Bits>(word & kReadyMask); }
    bool is_shut_down() const noexcept { return (word & kShutdown) != 0; }
    bool is_gone() const noexcept { return (word & kGone) != 0; }
    std::uint32_t tick(Direction direction) const noexcept {
      const unsigned shift = direction == Direction::read ? kReadTickShift : kWriteTickShift;
      return static_cast<std::uint32_t>(word >> shift) & kTickMask;
    }
    // Something of `interest` is ready, or the driver has not reported yet.
    bool may_be_ready(Interest interest) const noexcept {
      const Bits mask = waited_for(interest);
      return (ready() & mask) != 0 || ((mask & kReadSide) != 0 && tick(Direction::read) == 0) ||
             ((mask & kWriteSide) != 0 && tick(Direction::write) == 0);
    }
  };

  Snapshot load() const noexcept { return {word_.load(base::kAcquire)}; }

  // For the driver: adds `ready` and steps the ticks of the directions that it concerns.
  void publish(Bits ready) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    std::uint64_t next = 0;
    do {
      next = old | ready;
      if ((ready & kReadSide) != 0) next = step(next, Direction::read);
      if ((ready & kWriteSide) != 0) next = step(next, Direction::write);
    } while (!word_.compare_exchange_weak(old, next, base::kAcqRel, base::kRelaxed));
  }

  // After EAGAIN: clears `bits`, unless the driver has reported since `seen`.
  void clear(Direction direction, Bits bits, Snapshot seen) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    const std::uint64_t gone = bits;
    do {
      if (Snapshot{old}.tick(direction) != seen.tick(direction)) return;
      if ((old & gone) == 0) return;
    } while (!word_.compare_exchange_weak(old, old & ~gone, base::kAcqRel, base::kRelaxed));
  }
  // The same for bits of both directions.
  void clear(Bits bits, Snapshot seen) noexcept {
    if ((bits & kReadSide) != 0) clear(Direction::read, bits & kReadSide, seen);
    if ((bits & kWriteSide) != 0) clear(Direction::write, bits & kWriteSide, seen);
  }

  void shut_down() noexcept { word_.fetch_or(kShutdown, base::kAcqRel); }
  void close() noexcept { word_.fetch_or(kGone, base::kAcqRel); }
  void reset() noexcept { word_.store(0, base::kRelease); }

 private:
  static constexpr std::uint64_t kGone = 1U << 10U;
  static constexpr std::uint64_t kShutdown = 1U << 11U;
  static constexpr unsigned kReadTickShift = 12;
  static constexpr unsigned kWriteTickShift = 38;
  static constexpr std::uint64_t kTickMask = (1U << 26U) - 1;

  // Tick + 1. The value after the last is 1, because 0 means that the driver never reported.
  static std::uint64_t step(std::uint64_t word, Direction direction) noexcept {
    const unsigned shift = direction == Direction::read ? kReadTickShift : kWriteTickShift;
    const std::uint64_t tick = (word >> shift) & kTickMask;
    const std::uint64_t next = tick == kTickMask ? 1 : tick + 1;
    return (word & ~(kTickMask << shift)) | (next << shift);
  }

  base::Atomic<std::uint64_t> word_{0};
};

}  // namespace ramie::inline v0::io
