// What fork() leaves: the child has one thread, copies of all our memory, and the parent's
// descriptors, epolls and rings. To go on there as if nothing had been would take the parent's
// events and write into its rings.
//
//   runtimes of before   gone: spawn() says so, their ends and those of sockets leave everything to
//                        the parent
//   the fiber, or the    may go on to exec or _exit; its first wait, or its end, stops the child
//   blocking job, that   with a message
//   called fork()
//   new runtimes         as in any process
//
// fork() is noticed; _Fork() and clone() are not.
#pragma once

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace sched {

// Which process of the line this is: what was made at another number is the parent's.
std::uint32_t fork_number() noexcept;
[[noreturn]] void refuse_copy() noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
