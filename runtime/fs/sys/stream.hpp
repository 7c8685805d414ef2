// The system calls of pipes, terminals and sockets, in the form of file.hpp.
#pragma once

#include "runtime/fs/sys/file.hpp"

#include <cstdint>
#include <span>

namespace ramie::inline v0::fs::sys {

// Returns S_IF* of an open file, as far as it is known without asking a server. Returns 0 if the
// kernel has no type for it, as for an eventfd.
Count kind(int fd, std::uint64_t& size) noexcept;

// Writes at the position, as write(). Without a reader it returns -EPIPE and raises no signal.
Count write_quietly(int fd, std::span<const iovec> parts, int flags) noexcept;

// Waits in this thread for `events` (POLLIN, POLLOUT) or the end of the other side. A negative time
// means no limit. Returns 1, 0, or -errno.
Count poll(int fd, short events, int milliseconds) noexcept;

// Whether a process has opened this FIFO for writing. The FIFO is open here for reading without
// waiting. Takes nothing out of it. Returns 1, 0, or -errno if the kernel does not say.
Count has_writer(int fd) noexcept;

// Makes another descriptor of the same description.
Count duplicate(int fd) noexcept;

}  // namespace ramie::inline v0::fs::sys
