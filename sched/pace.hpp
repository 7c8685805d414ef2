// How a worker notices that time passes, without reading a clock in each switch.
//
//   runs     a look before every 8th run while runs are short, before each run once they are long
//   budget   a fiber gets its budget in chunks of at most 8 operations, with a look between two
//            chunks: one operation at a time once operations are long
//
// A look reads the processor's cycle counter (24 ns on a virtual EPYC, 7 ns elsewhere; the clock
// costs twice as much). "Long" is an eighth of a slice. If a look finds that a whole slice has
// passed, the fiber has to yield, and the worker looks at the driver and the injector.
//
// Rejected: a thread that sets a flag every 100 us. It would compete with the workers for CPUs, and
// each worker that wakes up would have to wake it.
#pragma once

#include "sched/base/clock.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace ramie::inline v0::sched {

// Only its worker's thread uses it.
class Pace {
 public:
  static constexpr std::uint32_t kMost = 8;  // runs or operations between two looks

  // In units of base::cycles(). With kNoSlice nothing is ever late.
  static constexpr std::uint64_t kNoSlice = ~std::uint64_t{0};
  explicit Pace(std::uint64_t slice) noexcept : slice_(slice) {}

  // --- before a run
  [[nodiscard]] bool is_look_due() noexcept { return --runs_ == 0; }
  // Returns whether a slice or more has passed since the last look.
  bool look_before_run() noexcept {
    const bool is_late = look(base::cycles(), runs_between_);
    runs_ = runs_between_;
    slice_started_ = looked_at_;
    return is_late;
  }
  // The next run begins with a look.
  void hurry() noexcept { runs_ = 1; }

  // --- inside a run, between two chunks of its budget
  // Its slice is over.
  bool look_inside_run() noexcept {
    (void)look(base::cycles(), chunk_);
    return looked_at_ - slice_started_ >= slice_;
  }
  std::uint32_t chunk() const noexcept { return chunk_; }

  // --- after a sleep or a look at the driver: a new slice begins
  void begin(std::uint64_t now) noexcept { looked_at_ = slice_started_ = now; }

  std::uint64_t looked_at() const noexcept { return looked_at_; }
  // At the last look, had a slice passed since `then`?
  bool is_late(std::uint64_t then) const noexcept { return looked_at_ - then >= slice_; }

 private:
  // Counters of two processors may differ. A value that seems to lie in the past counts as late,
  // which does no harm.
  bool look(std::uint64_t now, std::uint32_t& between) noexcept {
    const std::uint64_t took = now - std::exchange(looked_at_, now);
    between = took >= slice_ / 8 ? 1 : std::min(between * 2, kMost);
    return took >= slice_;
  }

  const std::uint64_t slice_;
  std::uint64_t looked_at_ = 0;
  std::uint64_t slice_started_ = 0;
  std::uint32_t runs_ = 1;
  std::uint32_t runs_between_ = 1;
  std::uint32_t chunk_ = 1;
};

}  // namespace ramie::inline v0::sched
