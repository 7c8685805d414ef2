// Finds out what the file system of a test's folder supports.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

namespace ramie_test {

// Whether the file system can read from the page cache alone. `path` was just written and is not
// empty.
inline bool has_cached_reads(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char byte = 0;
  const iovec one{&byte, 1};
  const bool has_them = ::preadv2(fd, &one, 1, 0, RWF_NOWAIT) == 1;
  return fd >= 0 && ::close(fd) == 0 && has_them;
}

// Memory that is aligned for direct transfers.
class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t size) : memory_(std::aligned_alloc(4096, size)), size_(size) {}
  std::span<std::byte> room() const { return {static_cast<std::byte*>(memory_.get()), size_}; }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t size_;
};

// The errno of a direct read at an unaligned place: EINVAL if O_DIRECT requires alignment,
// EOPNOTSUPP if there is no O_DIRECT, 0 if it is the same as any read.
inline int unaligned_direct_read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) return EOPNOTSUPP;
  const AlignedMemory memory(4096);
  const int error = ::pread(fd, memory.room().data() + 1, 100, 1) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

}  // namespace ramie_test
