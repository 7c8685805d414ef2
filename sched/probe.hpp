// What a thread of ours does right now: its frames, and the system call that it is in. For dumps
// and the watchdog, which must see a worker that is stuck in a fiber.
#pragma once

#include "sched/unwind.hpp"

#include <string>

namespace ramie {
inline namespace v0 {
namespace sched {

// Interrupts the thread by SIGURG (ignored by default, as Go found) and has it walk its own stack
// in the handler. The thread must have an alternate stack for signals: a fiber's may have no room.
// System calls are restarted, but for those that never are (poll, nanosleep, ...).
// False: no answer within 200 ms, or the program has a handler of its own for that signal.
[[nodiscard]] bool probe(int thread_id, Frames& frames) noexcept;

// "read", "system call 511"; empty if it is in none.
std::string system_call_of(int thread_id);

}  // namespace sched
}  // namespace v0
}  // namespace ramie
