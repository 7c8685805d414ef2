// Prints every fiber of a runtime: its name, its state, what it waits for and since when. Fibers
// with the same stack form one group. A large group shows a few and counts the rest.
//
//   parked     held (F9) while its stack is read: nobody runs it, everything else continues
//   running    its worker is interrupted and walks its own stack (probe.hpp)
//   runnable   in a queue, or between two queues: it has no stack here, it may run at any moment
//   blocking   a job of the blocking pool
//
// Takes no lock that a worker needs, so it works while workers are stuck.
#pragma once

#include "sched/base/clock.hpp"

#include <cstdint>
#include <string>

namespace ramie::inline v0::sched {

class Scheduler;
class Fiber;
class Worker;

std::string dump(Scheduler& scheduler);

// The bounds of the time at which a run began.
struct Began {
  base::Instant earliest;
  base::Instant latest;
};

// Describes a worker that has run `fiber` since its tick was `tick`: "worker 0 has run fiber 12
// 'conn' for 1.3 s without a break", with its frames below, indented. If the worker has moved on
// meanwhile, the text says so and has no frames. The worker's own look at the clock may be long
// before the run, so the watchdog passes what it knows (`began`). The caller holds a reference.
std::string describe_running(Worker& worker, Fiber& fiber, std::uint32_t tick, Began began);

}  // namespace ramie::inline v0::sched
