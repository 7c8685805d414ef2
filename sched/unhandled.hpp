// What happens to a result or an exception that nobody took.
#pragma once

#include <exception>
#include <system_error>

namespace ramie::inline v0::sched {

class Fiber;
struct FiberIdentity;

// Is there something to destroy or report? Called by the task itself.
bool has_result(const Fiber& fiber) noexcept;
// Did the system refuse what the task needed, so that its body never ran?
bool was_refused(const Fiber& fiber) noexcept;
// Destroys an unjoined result. Reports an unjoined exception on stderr, or aborts
// (RAMIE_UNHANDLED). Reports, at most once a second, that a task was refused a stack or a thread.
void drop_task_result(Fiber& fiber) noexcept;
void report_exception(const Fiber& fiber) noexcept;
// For a Scope's child that has ended, when nobody called join().
void report_lost_exception(const FiberIdentity& child,
                           const std::exception_ptr& exception) noexcept;
void report_lost_refusal(const FiberIdentity& child, std::error_code error) noexcept;

}  // namespace ramie::inline v0::sched
