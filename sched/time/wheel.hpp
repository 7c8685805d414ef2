// Deadlines, in one hierarchical wheel for each worker: 6 levels of 64 slots, ticks of 16.4 us,
// O(1) insert and cancel.
//
//   level 0: 64 slots of 1 tick | level 1: 64 of 64 ticks | ... | level 5: 64 of 64^5 ticks
//   (13 days in all; later deadlines wait in the last level and are sorted in again)
//
// Any thread inserts, cancels and fires under the wheel's lock. It claims fibers under the lock and
// queues them after it. So a worker that is stuck in one fiber delays no timer. A fiber has one
// entry. If the wheel will look at the entry no later than the new deadline, nothing is moved, and
// the entry is checked again when it fires. (A server that reads with a timeout touches the wheel
// once a minute, not twice a request.)
//
// ORDER(wheel-1) fire() stores due = kNoTick, then reads the fiber's word. The fiber arms its word,
// then reads `due`. All four are seq_cst: either fire() sees the new wait, or the fiber sees that
// the wheel will not look, and inserts again.
#pragma once

#include "sched/base/cacheline.hpp"
#include "sched/base/mutex.hpp"
#include "sched/time/timer_entry.hpp"
#include "sched/waiter.hpp"

#include <array>
#include <memory>
#include <span>

namespace ramie::inline v0::sched {

class TimerWheel {
 public:
  TimerWheel() noexcept = default;

  // Puts the entry in, or moves it if it is in this wheel (it must be in no other). The wheel looks
  // at it when `due` has come. Returns whether `due` is now the earliest.
  bool insert(TimerEntry& entry, Tick due) noexcept;
  void remove(TimerEntry& entry) noexcept;
  // No entry is due before this; kNoTick if the wheel is empty.
  Tick next() const noexcept { return next_.load(base::kSeqCst); }
  // Looks at everything that is due. Fibers whose deadline has passed, and whose wait this ends, go
  // to `out`.
  void advance(Tick now, base::Instant instant, FiberList& out) noexcept;
  std::size_t size() const noexcept { return size_.load(base::kRelaxed); }

 private:
  static constexpr unsigned kLevels = base::kIsModel ? 2 : 6;
  static constexpr unsigned kBits = base::kIsModel ? 2 : 6;
  static constexpr unsigned kSlots = 1U << kBits;

  struct Level {
    std::uint64_t occupied = 0;
    std::array<base::List<TimerEntry>, kSlots> slots;
  };
  struct Position {
    unsigned level;
    unsigned slot;
    Tick start;  // when the slot's time begins
  };

  void link(TimerEntry& entry, Tick due) noexcept;
  unsigned level_for(Tick due) const noexcept;
  bool find_next(Position& position) const noexcept;
  void empty_slot(const Position& position, base::Instant instant, FiberList& out) noexcept;
  void fire(TimerEntry& entry, base::Instant instant, FiberList& out) noexcept;
  void publish_next() noexcept;

  alignas(base::kCacheLine) base::Mutex mutex_;
  Tick elapsed_ = 0;       // everything before this was looked at
  Tick advancing_to_ = 0;  // by the advance() in progress
  base::Atomic<Tick> next_{kNoTick};
  base::Atomic<std::size_t> size_{0};
  std::array<Level, kLevels> levels_;
};

// All wheels of a runtime, one for each worker.
class TimerSet {
 public:
  static constexpr unsigned kTickShift = 14;

  explicit TimerSet(std::size_t workers);

  Tick to_tick_up(base::Instant instant) const noexcept;    // the first tick not before `instant`
  Tick to_tick_down(base::Instant instant) const noexcept;  // the last tick not after it
  base::Instant to_instant(Tick tick) const noexcept;

  TimerWheel& wheel(std::size_t worker) noexcept { return wheels_[worker]; }
  // The earliest of all; kNoTick if there is none.
  Tick next() const noexcept;
  void advance(FiberList& out) noexcept;
  std::size_t size() const noexcept;

 private:
  base::Instant origin_;
  std::size_t count_;
  std::unique_ptr<TimerWheel[]> wheels_;
};

}  // namespace ramie::inline v0::sched
