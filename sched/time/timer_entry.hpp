// The one timer entry of a fiber: part of its control block, so that arming a deadline allocates
// nothing.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/intrusive_list.hpp"

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace sched {

class Fiber;
class TimerWheel;

// Time in wheel ticks of 2^14 ns (16.4 us), counted from the wheel set's start.
using Tick = std::uint64_t;
inline constexpr Tick kNoTick = ~Tick{0};

struct TimerEntry : base::Link {
  Fiber* owner = nullptr;  // whose control block we are part of
  // When the wheel will look at us, kNoTick while not in a wheel. Written under the wheel's lock,
  // read by the fiber without it: an entry that is due no later than needed is left alone (a later
  // deadline is one store).
  base::Atomic<Tick> due{kNoTick};
  // The deadline of the wait in progress, in nanoseconds of base::Instant; kNever's count for none.
  base::Atomic<std::int64_t> deadline{base::kNever.time_since_epoch().count()};
  base::Atomic<TimerWheel*> wheel{nullptr};  // the one whose lock guards our links
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
