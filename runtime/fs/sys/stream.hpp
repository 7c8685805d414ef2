// The system calls of what has another end: pipes, terminals, sockets. As those of file.hpp.
#pragma once

#include "runtime/fs/sys/file.hpp"

#include <cstdint>
#include <span>

namespace ramie {
inline namespace v0 {
namespace fs {
namespace sys {

// S_IF* of what is open, as far as it is known without asking a server; 0 if the kernel has no name
// for it, as for an eventfd.
Count kind(int fd, std::uint64_t& size) noexcept;

// At the position, as write(), and no signal if nobody reads any more: only -EPIPE.
Count write_quietly(int fd, std::span<const iovec> parts, int flags) noexcept;

// Waits in this thread until `events` (POLLIN, POLLOUT) or the end of the other side is there, at
// most so long (negative: for ever). 1, 0, or -errno.
Count poll(int fd, short events, int milliseconds) noexcept;

// Has somebody opened this FIFO, which is open for reading without waiting, for writing? Nothing is
// taken out of it. 1, 0, or -errno: the kernel does not say.
Count has_writer(int fd) noexcept;

// Another descriptor of what is open.
Count duplicate(int fd) noexcept;

}  // namespace sys
}  // namespace fs
}  // namespace v0
}  // namespace ramie
