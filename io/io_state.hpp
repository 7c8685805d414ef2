// One descriptor's readiness, in one word.
//
//   bit 63..36 write tick | 35..8 read tick | 7 SHUTDOWN | 6 GONE | 5..0 readiness (Ready's bits)
//
// A tick counts the driver's reports for its direction. A fiber that got EAGAIN clears readiness
// only with the tick that it read before its call, so an edge that arrived in between survives:
// with edge-triggered epoll it would never come again. 28 bits: a tick cannot wrap between a
// snapshot and its clear (Tokio compares 8 of them).
//
// I1 publish() comes before the waiters' lock. I3 closed bits, GONE and SHUTDOWN are sticky: every
//   transition carries them. I4 clear() needs the tick.
//
// Writers: publish() the driver, clear() fibers, shut_down() the runtime, go() the owner, reset()
// the owner of an unused one. All but reset are read-modify-write.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace io {

enum class Direction : std::uint8_t { read, write };

class IoState {
 public:
  static constexpr std::uint8_t kReadable = 1, kWritable = 2, kReadClosed = 4, kWriteClosed = 8,
                                kPriority = 16, kError = 32;
  static constexpr std::uint8_t kReadyMask = 63;
  static constexpr std::uint8_t kReadSide = kReadable | kReadClosed | kPriority | kError;
  static constexpr std::uint8_t kWriteSide = kWritable | kWriteClosed;

  struct Snapshot {
    std::uint64_t word;

    std::uint8_t ready() const noexcept { return static_cast<std::uint8_t>(word & kReadyMask); }
    bool is_shut_down() const noexcept { return (word & kShutdown) != 0; }
    bool is_gone() const noexcept { return (word & kGone) != 0; }
    std::uint32_t tick(Direction direction) const noexcept {
      const unsigned shift = direction == Direction::read ? kReadTickShift : kWriteTickShift;
      return static_cast<std::uint32_t>(word >> shift) & kTickMask;
    }
    // Nobody has reported anything yet for this direction.
    bool is_unknown(Direction direction) const noexcept { return tick(direction) == 0; }
  };

  Snapshot load() const noexcept { return {word_.load(base::kAcquire)}; }

  // The driver heard `ready`: adds it and steps the ticks of the directions that it concerns.
  void publish(std::uint8_t ready) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    std::uint64_t next = 0;
    do {
      next = (RAMIE_MUTANT(285) ? old & ~kShutdown : old) | ready;
      if ((ready & kReadSide) != 0) next = step(next, Direction::read);
      if (RAMIE_MUTANT(283)) word_.store(old = next, base::kRelease);
      if ((ready & kWriteSide) != 0) next = step(next, Direction::write);
    } while (!word_.compare_exchange_weak(old, next, base::kAcqRel, base::kRelaxed));
  }

  // EAGAIN: `bits` are not there, unless the driver has reported since `seen`. Closed bits are
  // final and stay.
  void clear(Direction direction, std::uint8_t bits, Snapshot seen) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    const auto final_bits = RAMIE_MUTANT(287) ? 0 : kReadClosed | kWriteClosed;
    const auto gone = static_cast<std::uint64_t>(bits & ~final_bits);
    do {
      if (RAMIE_MUTANT(286)) direction = Direction::read;
      if (Snapshot{old}.tick(direction) != seen.tick(direction) && !RAMIE_MUTANT(281)) return;
      if ((old & gone) == 0) return;
      if (RAMIE_MUTANT(284)) return word_.store(old & ~gone, base::kRelease);
    } while (!word_.compare_exchange_weak(old, old & ~gone, base::kAcqRel, base::kRelaxed));
  }

  void shut_down() noexcept { word_.fetch_or(kShutdown, base::kAcqRel); }
  void go() noexcept { word_.fetch_or(kGone, base::kAcqRel); }
  void reset() noexcept { word_.store(0, base::kRelease); }

 private:
  static constexpr std::uint64_t kGone = 1U << 6U;
  static constexpr std::uint64_t kShutdown = 1U << 7U;
  static constexpr unsigned kReadTickShift = 8;
  static constexpr unsigned kWriteTickShift = 36;
  static constexpr std::uint64_t kTickMask = (1U << 28U) - 1;

  // Tick + 1; after the last comes 1, since 0 says "never".
  static std::uint64_t step(std::uint64_t word, Direction direction) noexcept {
    const unsigned shift = direction == Direction::read ? kReadTickShift : kWriteTickShift;
    const std::uint64_t tick = (word >> shift) & kTickMask;
    std::uint64_t next = tick == kTickMask ? 1 : tick + 1;
    if (RAMIE_MUTANT(282)) next = (tick & 1U) == 0 ? 1 : 2;
    return (word & ~(kTickMask << shift)) | (next << shift);
  }

  base::Atomic<std::uint64_t> word_{0};
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
