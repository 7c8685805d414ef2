// See event_fd.hpp.
#include "io/sys/event_fd.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"

#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

[[gnu::noinline]] int open_event() noexcept {
  if (int planned = base::inject("eventfd"); planned != 0) return planned;
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

// Hidden from the race detector: every fiber of a thread has that thread's errno.
[[gnu::noinline]] RAMIE_NO_TSAN int write_one(int fd) noexcept {
  if (int planned = base::inject("write_eventfd"); planned != 0) return planned;
  const std::uint64_t one = 1;
  return ::write(fd, &one, sizeof one) < 0 ? -errno : 0;
}

[[gnu::noinline]] RAMIE_NO_TSAN void read_count(int fd) noexcept {
  std::uint64_t count = 0;
  if (base::inject("read_eventfd") == 0) (void)!::read(fd, &count, sizeof count);
}

[[gnu::noinline]] RAMIE_NO_TSAN void ring(int fd) noexcept {
  const int before = errno;
  (void)write_one(fd);
  errno = before;
}

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
