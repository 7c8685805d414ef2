// The one word that decides who may run a fiber and who ended its wait.
//
//   bit 63..32 epoch | 31..16 unused | 15..8 claim | 7 HELD | 6 SCOPE | 5 SHUTDOWN | 4 CANCEL
//     | 3 SHIELDED | 2 ARMED | 1..0 state
//
//                       commit() if the wait is still armed
//   LIVE or WOKEN --------------------------------------------> PARKED
//    |  ^      ^                                                  |
//    |  |      +-- WOKEN -----------------------------------------+
//    |  +-- arm(): LIVE     claim() or request(): the winner owns the fiber until it is in a queue
//    +----> DONE  (finish)
//
//   reset()       DONE -> LIVE, a new epoch            the spawner
//   arm()         LIVE or WOKEN -> LIVE + ARMED        the fiber
//   disarm()      ARMED off                            the fiber
//   commit()      + ARMED -> PARKED                    its worker, after the switch
//   claim()       + ARMED -> ARMED off, by `by`        any waker; PARKED becomes WOKEN
//   request()     cancel bits on; the same as claim()  any canceller
//   start()       WOKEN -> LIVE, for a plain thread    its waker
//   clear_scope() SCOPE off                            the fiber
//   try_hold()    PARKED -> PARKED + HELD              any reader of stacks
//   let_go()      HELD off                             the same
//   finish()      LIVE or WOKEN -> DONE                its worker, after the last switch
//
// LIVE and WOKEN fibers run or stand in a queue. Wakers need not know which, so no step of a switch
// that only the worker sees is a read-modify-write. WOKEN stays on until the next wait. It says
// that the wait was ended while the fiber was PARKED, so its waker had left every lock before the
// fiber continued.
//
// Each wait is armed with a new epoch. Whoever wants to end it (readiness, a timer, a cancel, an
// arm of a select) tries one compare-and-swap on {ARMED, epoch}. The one that turns ARMED off has
// won, and its number stays in `claim`. Every other attempt with that epoch, now or in an hour,
// does nothing. Control blocks are reused, never freed, and `epoch` only grows. So a late wake-up
// cannot hit the block's next fiber.
//
// F1 A fiber is PARKED or DONE only once its registers are saved: its worker calls commit() and
//    finish() after the switch.
// F2 Whoever turns PARKED into WOKEN must put the fiber into a queue, once. claim() says so by
//    `won_and_queue`, request() by `true`.
// F3 A fiber that is claimed before it is PARKED is queued by its worker: commit() says so.
// F7 arm() fails if a cancel came first, in the same compare-and-swap.
// F9 A reader of a PARKED fiber's stack (a dump) turns HELD on. The fiber may be claimed and queued
//    meanwhile, and the bit stays. The fiber does not run until the bit is off.
//
// All transitions but reset and finish are read-modify-write, so they are in one total order.
// Before reset and after finish nobody has a wait to end.
#pragma once

#include "sched/base/assert.hpp"
#include "sched/base/atomic.hpp"

#include <bit>
#include <cstdint>

namespace ramie::inline v0::sched {

class FiberWord {
 public:
  enum State : std::uint64_t { kLive = 0, kParked = 1, kWoken = 2, kDone = 3 };

  // The cancel bits: this fiber was cancelled (stays on); the runtime is ending (stays on); look at
  // the cancel scopes, since one may have ended.
  static constexpr std::uint64_t kCancel = 1U << 4U;
  static constexpr std::uint64_t kShutdown = 1U << 5U;
  static constexpr std::uint64_t kScope = 1U << 6U;
  static constexpr std::uint64_t kAnyCancel = kCancel | kShutdown | kScope;

  // Who ended a wait. Smaller numbers are the waker's own: 0, or what the primitive defines. They
  // are the room for the arms of a select.
  static constexpr std::uint8_t kByTimer = 254;
  static constexpr std::uint8_t kByCancel = 255;

  enum class Shield : bool { no, yes };
  enum class Claim : std::uint8_t { lost, won, won_and_queue };
  enum class Commit : std::uint8_t { parked, queue };

  struct Armed {
    bool armed;           // false: refused, since a cancel bit is on
    std::uint32_t epoch;  // of this wait
  };

  // --- the worker --------------------------------------------------------------------------------

  // ARMED -> PARKED, after the switch out of a fiber that wants to wait. If the wait was claimed
  // meanwhile, the worker must queue the fiber (F3).
  [[nodiscard]] Commit commit() noexcept {
    std::uint64_t old = word_.load(base::kAcquire);
    while ((old & kArmed) != 0) {
      const std::uint64_t next = (old & ~kStateMask) | kParked;
      if (word_.compare_exchange_weak(old, next, base::kAcqRel, base::kAcquire))
        return Commit::parked;
    }
    return Commit::queue;
  }

  // LIVE or WOKEN -> DONE, after the last switch out. A cancel at this moment may be lost, since
  // there is no fiber left to cancel.
  void finish() noexcept { word_.store(word_.load(base::kRelaxed) | kDone, base::kRelease); }

  // DONE -> LIVE with a new epoch, by the spawner: the block gets its next fiber.
  void reset() noexcept {
    const std::uint64_t old = word_.load(base::kRelaxed);
    const std::uint64_t epoch = (old >> kEpochShift) + 1;
    word_.store((epoch << kEpochShift) | kLive, base::kRelease);
  }

  // --- the fiber itself --------------------------------------------------------------------------

  // LIVE or WOKEN -> LIVE + ARMED: opens a wait. Unless it is shielded, it is refused if a cancel
  // bit is on that is not in `known` (the bits that the fiber has seen and that a Shield hides).
  [[nodiscard]] Armed arm(Shield shield, std::uint64_t known = 0) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    for (;;) {
      RAMIE_ASSERT((old & kArmed) == 0 && (old & 1U) == 0);  // LIVE or WOKEN
      if (shield == Shield::no && (old & kAnyCancel & ~known) != 0) return {false, 0};
      const std::uint64_t epoch = ((old >> kEpochShift) + 1) & 0xffff'ffffU;
      const std::uint64_t next = (epoch << kEpochShift) | (old & kAnyCancel) | kArmed |
                                 (shield == Shield::yes ? kShielded : 0);
      if (word_.compare_exchange_weak(old, next, base::kSeqCst, base::kRelaxed))
        return {true, static_cast<std::uint32_t>(epoch)};
    }
  }

  // ARMED off: closes the wait without parking. True: nobody had claimed it. False: it was claimed,
  // and claimed_by() says by whom.
  [[nodiscard]] bool disarm() noexcept {
    return (word_.fetch_and(~(kArmed | kShielded), base::kAcqRel) & kArmed) != 0;
  }

  // SCOPE off, since the hint may be stale. The caller looks at its scopes afterwards.
  void clear_scope() noexcept { word_.fetch_and(~kScope, base::kSeqCst); }

  // After a park: had the waker left every lock before the fiber continued?
  bool was_woken() const noexcept { return (word_.load(base::kRelaxed) & kStateMask) == kWoken; }
  bool is_armed() const noexcept { return (word_.load(base::kAcquire) & kArmed) != 0; }
  std::uint8_t claimed_by() const noexcept {
    return static_cast<std::uint8_t>(word_.load(base::kAcquire) >> kClaimShift);
  }
  std::uint64_t cancel_bits() const noexcept { return word_.load(base::kRelaxed) & kAnyCancel; }
  std::uint32_t epoch() const noexcept {
    return static_cast<std::uint32_t>(word_.load(base::kRelaxed) >> kEpochShift);
  }

  // --- any thread --------------------------------------------------------------------------------

  // ARMED off, by a waker: ends the wait `epoch` if it is still open. PARKED becomes WOKEN, and the
  // waker must queue the fiber.
  [[nodiscard]] Claim claim(std::uint32_t epoch, std::uint8_t by) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    for (;;) {
      if ((old & kArmed) == 0) return Claim::lost;
      if ((old >> kEpochShift) != epoch) return Claim::lost;
      if (try_claim(old, old, by))
        return (old & kStateMask) == kParked ? Claim::won_and_queue : Claim::won;
    }
  }

  // Turns cancel bits on, by a canceller, and ends the wait unless it is shielded. True: PARKED
  // became WOKEN, and the canceller must queue the fiber.
  [[nodiscard]] bool request(std::uint64_t bits) noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    for (;;) {
      if ((old & kStateMask) == kDone) return false;
      const bool ends_wait = (old & (kArmed | kShielded)) == kArmed;
      if (ends_wait ? try_claim(old, old | bits, kByCancel)
                    : word_.compare_exchange_weak(old, old | bits, base::kSeqCst, base::kRelaxed))
        return ends_wait && (old & kStateMask) == kParked;
    }
  }

  // --- who reads a parked fiber's stack; it holds a reference, too

  // PARKED -> PARKED + HELD. True: the fiber is not run until let_go().
  [[nodiscard]] bool try_hold() noexcept {
    std::uint64_t old = word_.load(base::kRelaxed);
    while ((old & (kStateMask | kHeld)) == kParked)
      if (word_.compare_exchange_weak(old, old | kHeld, base::kAcquire, base::kRelaxed))
        return true;
    return false;
  }
  void let_go() noexcept { word_.fetch_and(~kHeld, base::kRelease); }
  // A worker that wants to run the fiber asks this first.
  bool is_held() const noexcept { return (word_.load(base::kAcquire) & kHeld) != 0; }

  // The epoch of the open wait, which a timer needs for its claim.
  [[nodiscard]] Armed open_wait() const noexcept {
    const std::uint64_t now = word_.load(base::kSeqCst);
    return {(now & kArmed) != 0, static_cast<std::uint32_t>(now >> kEpochShift)};
  }

  State state() const noexcept {
    return static_cast<State>(word_.load(base::kAcquire) & kStateMask);
  }

  // --- threads, which sleep on the lower half of the word ----------------------------------------

  // WOKEN -> LIVE, by its waker. From here on the thread may run, and end.
  void start() noexcept {
    const std::uint64_t old = word_.fetch_and(~kStateMask, base::kAcqRel);  // kLive is 0
    RAMIE_ASSERT((old & kStateMask) == kWoken);
    (void)old;
  }
  // The kernel compares the 32 bits at this address. They are the lower half, with the state.
  const void* futex() const noexcept {
    static_assert(std::endian::native == std::endian::little);
    return &word_;
  }
  std::uint32_t futex_value() const noexcept {
    return static_cast<std::uint32_t>(word_.load(base::kAcquire));
  }

 private:
  static constexpr std::uint64_t kStateMask = 3;
  static constexpr std::uint64_t kArmed = 1U << 2U;
  static constexpr std::uint64_t kShielded = 1U << 3U;
  static constexpr std::uint64_t kHeld = 1U << 7U;
  static constexpr unsigned kClaimShift = 8;
  static constexpr std::uint64_t kClaimMask = 0xffU << kClaimShift;
  static constexpr unsigned kEpochShift = 32;

  // old -> `bits` with the wait closed by `by`. A parked fiber becomes WOKEN and belongs to the
  // caller.
  bool try_claim(std::uint64_t& old, std::uint64_t bits, std::uint8_t by) noexcept {
    std::uint64_t next = bits & ~(kArmed | kShielded | kClaimMask);
    next |= std::uint64_t{by} << kClaimShift;
    if ((old & kStateMask) == kParked) next = (next & ~kStateMask) | kWoken;
    return word_.compare_exchange_weak(old, next, base::kSeqCst, base::kRelaxed);
  }

  base::Atomic<std::uint64_t> word_{kDone};
};

}  // namespace ramie::inline v0::sched
