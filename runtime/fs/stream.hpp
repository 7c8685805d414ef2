// What has another end, and so may keep a reader or a writer waiting for as long as that is silent:
// pipes, terminals, sockets, devices that epoll takes. A fiber waits there for readiness, never in
// a ring or in a thread of the pool: a deadline holds, and a thousand silent pipes keep nobody else
// waiting.
//
//   ours, opened by a path   the description is made non-blocking: nobody else has it
//   anybody's (from_fd)      O_NONBLOCK would be everybody's, the shell's and the child's, too: one
//                            call is asked not to wait (RWF_NOWAIT: pipes and sockets). Where the
//                            kernel has no such way (FIFOs, terminals) the call is a job of the
//                            pool, made when poll(2) says that it need not wait; only where another
//                            process takes the bytes in between does it wait there.
//
// Each wait registers the descriptor with epoll, and takes it out again: a File may outlive the
// runtime, or be used by two. (Rejected: reopening /proc/self/fd, which needs the right to open the
// terminal again, and a second descriptor for each.)
#pragma once

#include "io/sys/fd.hpp"
#include "runtime/fs/transfer.hpp"

namespace ramie {
inline namespace v0 {
namespace fs {

// Of `kind`, S_IF*: it may have another end. A device only if epoll takes it.
bool has_other_end(unsigned kind) noexcept;
bool is_device(unsigned kind) noexcept;

struct Stream {
  int fd = -1;
  bool is_ours = false;  // and non-blocking
};

// Can one wait for readiness there? -EPERM: no, as on a disk; 0, or -errno.
Count can_wait(int fd) noexcept;

// One call, as soon as something can be moved: bytes, 0 at the end, -errno, or -ECANCELED for a
// wait that was ended, and `calls` knows why. On a plain thread it blocks.
Count move(Calls& calls, const Stream& stream, const Vector& vector);

Result<void> move_all(Calls& calls, const Stream& stream, Way way,
                      std::span<const std::byte> bytes);

// Until the other end has closed.
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
  bool lacks_reader = false;  // a FIFO that is to be written: nothing was opened
  bool lacks_writer = false;  // a FIFO that is to be read: nobody may have opened its other end

  Stream stream() const noexcept { return {fd.get(), is_nonblocking}; }
  bool has_other_end() const noexcept { return lacks_reader || fs::has_other_end(kind); }
};

// open(2), as a call of a sequence, which in a fiber never waits for the other end of a FIFO.
Result<Opened> open(Calls& calls, const char* path, int flags, unsigned mode = 0);
// The rest of it, in the fiber, if it may have another end: waits for that of a FIFO, as open(2)
// does. Afterwards its kind is final: S_IFREG for a device that epoll does not take.
//
// The kernel tells nobody when that end is opened: we ask again and again, as for a lock.
Result<Opened> settle(Opened opened, const char* path, int flags, unsigned mode);

}  // namespace fs
}  // namespace v0
}  // namespace ramie
