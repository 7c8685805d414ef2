// Files with another end, which may stay silent for ever: pipes, terminals, sockets, and devices
// that epoll accepts. A fiber waits there for readiness, never in a ring or in a thread of the
// pool. So a deadline works, and a thousand silent pipes block nobody else.
//
//     ours, opened by a path    the description is made non-blocking, because nobody else has it
//     others' too (from_fd)     O_NONBLOCK would apply to all who share the description, such as
//                               the shell and the child. So one call is asked not to wait
//                               (RWF_NOWAIT: pipes and sockets). FIFOs and terminals do not have
//                               that. There the call is a job of the pool, made when poll(2) says
//                               that it need not wait; it waits only if another process takes the
//                               bytes in between.
//
// Each wait registers the descriptor with epoll and deregisters it again, because a File may
// outlive the runtime or be used by two runtimes. (Rejected: reopening /proc/self/fd, which needs
// the right to open the terminal again, and a second descriptor for each file.)
#pragma once

#include "io/sys/fd.hpp"
#include "runtime/fs/transfer.hpp"

namespace ramie::inline v0::fs {

// Whether a file of `kind`, S_IF*, may have another end. A device has one only if epoll accepts it.
bool has_other_end(unsigned kind) noexcept;
bool is_device(unsigned kind) noexcept;

struct Stream {
  int fd = -1;
  bool is_ours = false;  // and non-blocking
};

// Whether a fiber can wait for readiness: 0 if so, -EPERM if not, as on a disk; or another -errno.
Count can_wait(int fd) noexcept;

// Makes one call as soon as something can be moved. Returns bytes, 0 at the end, or -errno. Returns
// -ECANCELED if the wait was ended; `calls` has the reason. On a plain thread it blocks.
Count move(Calls& calls, const Stream& stream, const Vector& vector);

Result<void> move_all(Calls& calls, const Stream& stream, Way way,
                      std::span<const std::byte> bytes);

// Reads until the other end has closed.
template <class Container>
Result<std::size_t> append_all(Calls& calls, const Stream& stream, Container& content) {
  return append(calls, content, 0,
                [&](const Vector& vector, bool) { return move(calls, stream, vector); });
}

// --- opening

struct Opened {
  static constexpr unsigned kNothing = ~0U;

  io::sys::UniqueFd fd;
  unsigned kind = kNothing;  // S_IF*
  std::uint64_t size = 0;
  bool is_nonblocking = false;
  bool lacks_reader = false;  // a FIFO to be written; nothing was opened
  bool lacks_writer = false;  // a FIFO to be read; its other end may not be open

  Stream stream() const noexcept { return {fd.get(), is_nonblocking}; }
  bool has_other_end() const noexcept { return lacks_reader || fs::has_other_end(kind); }
};

// open(2), as a call of a sequence. In a fiber it never waits for the other end of a FIFO.
Result<Opened> open(Calls& calls, const char* path, int flags, unsigned mode = 0);
// The rest of open(2), in the fiber, for a file that may have another end: waits for the other end
// of a FIFO. Afterwards the kind is final: S_IFREG for a device that epoll does not accept.
//
// The kernel does not report when that end is opened, so this polls, as for a lock.
Result<Opened> settle(Opened opened, const char* path, int flags, unsigned mode);

}  // namespace ramie::inline v0::fs
