// What a thread of ours does right now: its frames, and the system call that it is in. Dumps and
// the watchdog use it to look at a worker that is stuck in a fiber.
#pragma once

#include "sched/unwind.hpp"

#include <string>

namespace ramie::inline v0::sched {

// Interrupts the thread with SIGURG (which is ignored by default; Go uses it, too) and makes it
// walk its own stack in the handler. The thread must have an alternate stack for signals, since a
// fiber's stack may have no room. System calls are restarted, except those that never are (poll,
// nanosleep). Returns false if there is no answer within 200 ms, or if the program has a handler
// for SIGURG.
[[nodiscard]] bool probe(int thread_id, Frames& frames) noexcept;

// "read", or "system call 511"; empty if the thread is in none.
std::string system_call_of(int thread_id);

}  // namespace ramie::inline v0::sched
