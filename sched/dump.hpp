// Every fiber of a runtime as text: who, where, what it waits for and since when. Fibers with the
// same stack stand in one group; of a large group a few are shown, and the rest is counted.
//
//   parked     held (F9) while its stack is read: nobody runs it, everything else goes on
//   running    its worker is interrupted and walks its own stack (probe.hpp)
//   runnable   in a queue, or between two: no stack, it may run at any moment
//   blocking   a job of the blocking pool
//
// Takes no lock that a worker needs, so it works while workers are stuck.
#pragma once

#include "sched/base/clock.hpp"

#include <cstdint>
#include <string>

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;
class Fiber;
class Worker;

std::string dump(Scheduler& scheduler);

// When a run began, as far as it is known.
struct Began {
  base::Instant earliest;
  base::Instant latest;
};

// What a worker does that has run `fiber` since its tick was `tick`: "worker 0 has run fiber 12
// 'conn' for 1.3 s without a break", and its frames below, indented. If it has gone on meanwhile
// the text says so and has no frames. The worker's own look at the clock may be long before the
// run, so the watchdog tells what it knows. A reference is held.
std::string describe_running(Worker& worker, Fiber& fiber, std::uint32_t tick, Began began);

}  // namespace sched
}  // namespace v0
}  // namespace ramie
