// The system calls of files. They wait only for the disk. Each returns -errno on failure, is a
// noinline function that cannot suspend, and passes the tests' fault injection
// (sched/base/sys.hpp).
#pragma once

#include <cstdint>
#include <span>

struct iovec;
struct statx;
struct timespec;

namespace ramie::inline v0::fs::sys {

using Count = std::int64_t;  // bytes or a descriptor, or -errno

inline constexpr std::int64_t kHere = -1;  // as an offset: the descriptor's own position

Count open(int at, const char* path, int flags, unsigned mode) noexcept;
// Opens only by names that the kernel has in its cache. With O_PATH it then waits for nobody.
// Without O_PATH it may wait, as an open in the ring would, where a file system in user space or on
// a server must be told. On any error (-EAGAIN; -ENOSYS on older kernels) open() may still succeed.
Count open_known(const char* path, int flags) noexcept;
// The descriptor is closed whatever this returns: an interrupted close must not be repeated.
Count close(int fd) noexcept;
// Returns O_*, as far as the kernel keeps them.
Count flags(int fd) noexcept;
Count set_flags(int fd, int flags) noexcept;
Count stat(int at, const char* path, int flags, unsigned mask, struct statx& result) noexcept;
// Stats an open file without waiting. Returns false if a server or another process may know better,
// or the kernel does not say.
bool stat_known(int fd, unsigned mask, struct statx& result) noexcept;

// Returns the bytes moved. `flags` are RWF_*.
Count read(int fd, std::span<const iovec> parts, std::int64_t offset, int flags) noexcept;
Count write(int fd, std::span<const iovec> parts, std::int64_t offset, int flags) noexcept;
// Returns the new position.
Count seek(int fd, std::int64_t offset, int whence) noexcept;

Count sync(int fd) noexcept;
Count sync_data(int fd) noexcept;
Count truncate(int fd, std::int64_t size) noexcept;
Count allocate(int fd, int mode, std::int64_t offset, std::int64_t size) noexcept;
Count set_mode(int fd, unsigned mode) noexcept;
// Sets the access time, then the modification time. UTIME_OMIT leaves one as it is.
Count set_times(int fd, const timespec (&times)[2]) noexcept;
// `operation` is LOCK_*.
Count lock(int fd, int operation) noexcept;

}  // namespace ramie::inline v0::fs::sys
