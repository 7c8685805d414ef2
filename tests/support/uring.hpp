// Asks the kernel, not the library, whether this machine has io_uring.
#pragma once

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <vector>

namespace ramie_test {

// The errno of making a few rings of the usual size, or 0. (Their memory counts as locked memory,
// which may be limited.)
inline int uring_error() {
  std::vector<int> rings;
  int error = 0;
  while (error == 0 && rings.size() < 8) {
    io_uring_params parameters{};
    const auto fd = static_cast<int>(::syscall(SYS_io_uring_setup, 256, &parameters));
    if (fd < 0) error = errno;
    else rings.push_back(fd);
  }
  for (const int fd : rings) ::close(fd);
  return error;
}

}  // namespace ramie_test
