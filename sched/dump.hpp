// Every fiber of a runtime as text: who, where, what it waits for and since when. Fibers with the
// same stack stand in one group.
//
//   parked     held (F9) while its stack is read: nobody runs it, everything else goes on
//   running    its worker is interrupted and walks its own stack (probe.hpp)
//   runnable   in a queue, or between two: no stack, it may run at any moment
//   blocking   a job of the blocking pool
//
// Takes no lock that a worker needs, so it works while workers are stuck.
#pragma once

#include <string>

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;
class Fiber;
class Worker;

std::string dump(Scheduler& scheduler);

// What a worker does: "runs fiber 12 'conn' for 1.3 s, in read", and the frames below, indented.
std::string describe_running(Worker& worker, Fiber& fiber);

}  // namespace sched
}  // namespace v0
}  // namespace ramie
