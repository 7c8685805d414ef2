// See event_fd.hpp.
#include "io/sys/event_fd.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"

#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>

namespace ramie::inline v0::io::sys {

[[gnu::noinline]] int open_event() noexcept {
  if (int planned = base::inject("eventfd"); planned != 0) return planned;
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

namespace {

constexpr int kRingTries = 100;

// Hidden from the race detector: all fibers of a thread share its errno.
RAMIE_NO_TSAN int add_one(int fd) noexcept {
  if (int planned = base::inject("write_eventfd"); planned != 0) return planned;
  std::uint64_t one = 1;
  if (::write(fd, &one, sizeof one) >= 0) return 0;
  if (!is_denied(-errno)) return -errno;
  const iovec part{&one, sizeof one};
  return ::writev(fd, &part, 1) < 0 ? -errno : 0;
}

RAMIE_NO_TSAN int empty(int fd) noexcept {
  if (int planned = base::inject("read_eventfd"); planned != 0) return planned;
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof count) < 0 ? -errno : 0;
}

}  // namespace

// A lost write would be a hang, so the loop retries every error that can pass: an interruption, or
// a full counter. (Only sandboxes and tracers cause them: the kernel does not interrupt this call,
// and nobody writes 2^64 times.) After any other error the descriptor is no longer our eventfd.
[[gnu::noinline]] RAMIE_NO_TSAN void ring(int fd) noexcept {
  const int before = errno;
  for (int tries = 0; tries < kRingTries; ++tries) {
    const int rc = add_one(fd);
    if (is_denied(rc))
      base::fatal("a sandbox denies write and writev: Ramie cannot send a wake-up");
    if (rc != -EINTR && rc != -EAGAIN) break;
    if (rc == -EAGAIN) (void)empty(fd);
  }
  errno = before;
}

}  // namespace ramie::inline v0::io::sys
