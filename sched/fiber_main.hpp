// The first function on every fiber's stack, and the end of a task.
#pragma once

namespace ramie {
inline namespace v0 {
namespace sched {

class Fiber;

// Runs the task; returns when the fiber may switch out for the last time. `argument` is the Fiber.
void fiber_main(void* argument) noexcept;

// Publishes the end: wakes the joiners, tells the Scope, drops the run's reference. The block may
// be gone afterwards.
void end_task(Fiber& fiber) noexcept;

// After run_body(): the result is the handle's, or is destroyed here if the handle is gone.
void leave_result(Fiber& fiber) noexcept;

// Runs the closure; stores its result or exception.
void run_body(Fiber& fiber) noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
