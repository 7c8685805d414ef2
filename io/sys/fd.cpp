// See fd.hpp.
#include "io/sys/fd.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/sys.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace ramie::inline v0::io::sys {

[[gnu::noinline]] void close(int fd) noexcept {
  (void)base::inject("close");  // an error changes nothing: the descriptor is closed
  (void)::close(fd);
}

// open() takes the lowest free number, so the loop ends at the first number that it cannot fill.
[[gnu::noinline]] void fill_standard_descriptors() noexcept {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (outcome(::fcntl(fd, F_GETFD)) != -EBADF) continue;
    if (base::inject("open") != 0 || ::open("/dev/null", O_RDWR) < 0) return;
  }
}

}  // namespace ramie::inline v0::io::sys
