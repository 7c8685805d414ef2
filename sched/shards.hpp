// The drivers that workers may sleep on, one for each shard, and the right to drive each of them.
//
// P1 At most one worker drives a shard: the worker that holds its baton.
//
// A worker that sleeps in a driver also watches the timers of all wheels. It publishes the time
// until which it sleeps, and an insert of an earlier timer unparks it.
//
// ORDER(timer-1) The sleeper publishes, then reads the earliest timer again. An inserter publishes
// its timer, then reads what the sleepers have published. With seq_cst at least one of the two sees
// the other.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/driver.hpp"
#include "sched/idle.hpp"
#include "sched/time/wheel.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ramie::inline v0::sched {

class Shard {
 public:
  Shard(Driver& driver, std::uint32_t index) noexcept : driver_(driver), index_(index) {}

  Driver& driver() noexcept { return driver_; }
  std::uint32_t index() const noexcept { return index_; }

  // --- the right to drive it
  [[nodiscard]] bool try_take() noexcept { return baton_.try_take(); }
  void release() noexcept { baton_.release(); }
  bool is_taken() const noexcept { return baton_.is_taken(); }

  // --- the holder of the baton, around its sleep

  // Returns how long it may sleep: `bound` (negative: for ever), or until the earliest timer.
  base::Nanos begin_sleep(TimerSet& timers, base::Nanos bound) noexcept;
  void end_sleep() noexcept { sleeps_until_.store(0, base::kSeqCst); }

  // --- any thread

  // When the sleeper comes back by itself; 0: nobody sleeps here.
  Tick sleeps_until() const noexcept { return sleeps_until_.load(base::kSeqCst); }

 private:
  Driver& driver_;
  const std::uint32_t index_;
  Baton baton_;
  base::Atomic<Tick> sleeps_until_{0};
};

class Shards {
 public:
  explicit Shards(const std::vector<Driver*>& drivers);

  // The baton of the shard `first`, or of any other that is free; null if all are taken.
  [[nodiscard]] Shard* take_baton(std::size_t first) noexcept;
  bool has_unattended() const noexcept;
  // A timer was inserted that is the earliest of its wheel.
  void notify_timer(Tick due) noexcept;

  std::size_t size() const noexcept { return shards_.size(); }
  Shard& operator[](std::size_t i) noexcept { return *shards_[i]; }

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace ramie::inline v0::sched
