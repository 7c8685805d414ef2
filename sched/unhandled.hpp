// What becomes of a result or an exception that nobody took.
#pragma once

#include <exception>

namespace ramie {
inline namespace v0 {
namespace sched {

class Fiber;

// Is there something to destroy or report? The task itself asks.
bool has_result(const Fiber& fiber) noexcept;
// Did the system refuse what the task needed, so that its body never ran?
bool was_refused(const Fiber& fiber) noexcept;
// Destroys an unjoined result; reports an unjoined exception on stderr, or aborts
// (RAMIE_UNHANDLED); reports, at most once a second, that a task was refused a stack or thread.
void drop_task_result(Fiber& fiber) noexcept;
// `what` says where: "fiber 12 'conn'". Used by Scope for exceptions that it only reports.
void report_exception(const Fiber& fiber) noexcept;
void report_lost_exception(const std::exception_ptr& exception) noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
