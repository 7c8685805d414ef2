// What fork() does to a runtime. The child has one thread, copies of all our memory, and the
// parent's descriptors, epolls and rings. If it continued, it would take the parent's events and
// write into its rings.
//
//   earlier runtimes     are gone: spawn() says so; their ends and those of sockets leave
//                        everything to the parent
//   the fiber, or the    may continue until exec or _exit; its first wait, or its end, stops the
//   blocking job, that   child with a message
//   called fork()
//   new runtimes         work as in any process
//
// We notice fork(), but not _Fork() or clone().
#pragma once

#include <cstdint>

namespace ramie::inline v0::sched {

// The number of forks between the first process and this one. An object that was made at another
// number belongs to the parent.
std::uint32_t fork_number() noexcept;
[[noreturn]] void refuse_copy() noexcept;

}  // namespace ramie::inline v0::sched
