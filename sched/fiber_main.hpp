// The first function on every fiber's stack, and the end of a task.
#pragma once

namespace ramie::inline v0::sched {

class Fiber;

// Runs the task. Returns when the fiber may switch out for the last time. `argument` is the Fiber.
void fiber_main(void* argument) noexcept;

// Publishes the end: wakes the joiners, tells the Scope, releases the run's reference. The block
// may be gone afterwards.
void end_task(Fiber& fiber) noexcept;

// Called after run_body(). The result belongs to the handle, or is destroyed here if the handle is
// gone.
void publish_result(Fiber& fiber) noexcept;

// Runs the closure; stores its result or exception.
void run_body(Fiber& fiber) noexcept;

}  // namespace ramie::inline v0::sched
