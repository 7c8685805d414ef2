// Counters of the driver.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstdint>

namespace ramie::inline v0::io {

struct DriverMetrics {
  base::Atomic<std::uint64_t> registered{0};
  base::Atomic<std::uint64_t> deregistered{0};
  base::Atomic<std::uint64_t> ready{0};  // events of registered descriptors
  base::Atomic<std::uint64_t> turns{0};
  base::Atomic<std::uint64_t> empty_turns{0};
  base::Atomic<std::uint64_t> unparks{0};  // eventfd writes
  base::Atomic<std::uint64_t> stale{0};    // events for an earlier generation of a slot
};

}  // namespace ramie::inline v0::io
