// Who runs on this thread. The only place with thread_local variables.
//
// Compilers keep the address of a thread_local over a call, so a fiber that parked and came back on
// another thread would read the old thread's. Every accessor here is a noinline function with a
// barrier; nobody keeps a result over a park, except the fiber's own pointer, which is the same
// wherever it runs.
#pragma once

#include "sched/waiter.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;
class Worker;

// For hold_check.hpp: what the fiber on this thread holds that it must not wait with.
struct Holds {
  std::uint64_t fiber = 0;
  unsigned count = 0;
  bool is_busy = false;        // the stack is read: locks of that are nobody's
  const char* what = nullptr;  // the last of several, as the next
  std::size_t frames = 0;
  std::array<std::uintptr_t, 16> taken_at{};
  std::uint64_t blocked = 0;  // signals, outside handlers
  bool has_blocked = false;   // that is known
};
Holds& thread_holds() noexcept;

Fiber* current_fiber() noexcept;      // null on plain threads and on a worker's own stack
Worker* current_worker() noexcept;    // null on threads that run no fibers
Sleeper& current_sleeper() noexcept;  // the fiber, or this thread's own
// The runtime that the thread has entered, else the one of the fiber or worker, else null.
Scheduler* current_scheduler() noexcept;

// Where this thread's current fiber stands: for the loop of a worker, which never changes threads.
Fiber*& current_fiber_slot() noexcept;
void set_current_worker(Worker* worker) noexcept;
// Returns what was entered before.
Scheduler* exchange_entered(Scheduler* scheduler) noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
