// The one timer entry of a fiber. It is a part of the control block, so arming a deadline allocates
// nothing.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/intrusive_list.hpp"

#include <cstdint>

namespace ramie::inline v0::sched {

class Fiber;
class TimerWheel;

// Time in wheel ticks of 2^14 ns (16.4 us), counted from the wheel set's start.
using Tick = std::uint64_t;
inline constexpr Tick kNoTick = ~Tick{0};

struct TimerEntry : base::Link {
  Fiber* owner = nullptr;  // the fiber whose control block holds this entry
  // When the wheel will look at this entry; kNoTick while it is in no wheel. Written under the
  // wheel's lock and read by the fiber without it: an entry that is due early enough is not moved,
  // so a later deadline is one store.
  base::Atomic<Tick> due{kNoTick};
  // The deadline of the wait in progress, in nanoseconds of base::Instant. Without one it is
  // kNever's count.
  base::Atomic<std::int64_t> deadline{base::kNever.time_since_epoch().count()};
  base::Atomic<TimerWheel*> wheel{nullptr};  // the wheel whose lock guards our links
};

}  // namespace ramie::inline v0::sched
