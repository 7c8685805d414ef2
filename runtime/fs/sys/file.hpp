// The system calls of files, without waiting for anything but the disk. Each returns -errno on
// failure, is a noinline function that cannot suspend, and passes the seam of the tests
// (sched/base/sys.hpp).
#pragma once

#include <cstdint>
#include <span>

struct iovec;
struct statx;
struct timespec;

namespace ramie {
inline namespace v0 {
namespace fs {
namespace sys {

using Count = std::int64_t;  // bytes or a descriptor, or -errno

inline constexpr std::int64_t kHere = -1;  // an offset: the descriptor's own position

Count open(int at, const char* path, int flags, unsigned mode) noexcept;
// Only by names that the kernel has in its cache; beyond the name it waits for nobody with O_PATH,
// and else where a file system in user space or on a server has to be told, as an open in the ring
// would. Whatever error it says (-EAGAIN; -ENOSYS on older kernels): open() may do better.
Count open_known(const char* path, int flags) noexcept;
// The descriptor is gone, whatever it says: a close that was interrupted must not be repeated.
Count close(int fd) noexcept;
// O_*, as far as the kernel keeps them.
Count flags(int fd) noexcept;
Count set_flags(int fd, int flags) noexcept;
Count stat(int at, const char* path, int flags, unsigned mask, struct statx& result) noexcept;
// Of an open file, without waiting: what is known here. False: a server, or another process, may
// know better, or the kernel says nothing.
bool stat_known(int fd, unsigned mask, struct statx& result) noexcept;

// Bytes moved; `flags` are RWF_*.
Count read(int fd, std::span<const iovec> parts, std::int64_t offset, int flags) noexcept;
Count write(int fd, std::span<const iovec> parts, std::int64_t offset, int flags) noexcept;
// The new position.
Count seek(int fd, std::int64_t offset, int whence) noexcept;

Count sync(int fd) noexcept;
Count sync_data(int fd) noexcept;
Count truncate(int fd, std::int64_t size) noexcept;
Count allocate(int fd, int mode, std::int64_t offset, std::int64_t size) noexcept;
Count set_mode(int fd, unsigned mode) noexcept;
// Accessed, then modified; UTIME_OMIT leaves one as it is.
Count set_times(int fd, const timespec (&times)[2]) noexcept;
// `operation` is LOCK_*.
Count lock(int fd, int operation) noexcept;

}  // namespace sys
}  // namespace fs
}  // namespace v0
}  // namespace ramie
