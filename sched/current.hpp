// What runs on this thread. This is the only file with thread_local variables.
//
// Compilers keep the address of a thread_local over a call. So a fiber that parked and came back on
// another thread would read the old thread's variable. Every accessor here is a noinline function
// with a barrier. No caller keeps a result over a park, except the pointer to its own fiber, which
// is the same on every thread.
#pragma once

#include "sched/waiter.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::sched {

class Scheduler;
class Worker;

// For hold_check.hpp: what the fiber on this thread holds, and must not hold while it waits.
struct Holds {
  std::uint64_t fiber = 0;
  unsigned count = 0;
  bool is_busy = false;        // the stack is being read: locks taken for that do not count
  const char* what = nullptr;  // the latest one; `taken_at` is its stack
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

// The variable behind current_fiber(), for the loop of a worker, which stays on one thread.
Fiber*& current_fiber_slot() noexcept;
void set_current_worker(Worker* worker) noexcept;
// Returns what was entered before.
Scheduler* exchange_entered(Scheduler* scheduler) noexcept;

}  // namespace ramie::inline v0::sched
