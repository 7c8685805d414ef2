// See file.hpp. In this layer only the files of this folder read errno.
#include "runtime/fs/sys/file.hpp"

#include "io/sys/outcome.hpp"
#include "runtime/fs/sys/mount.hpp"
#include "sched/base/sys.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <limits>

namespace ramie::inline v0::fs::sys {

using io::sys::outcome;

namespace {

// A sandbox or an old kernel does not know the call. An older call may be allowed; if the error is
// the file's, the older call returns it again.
bool is_denied(Count rc) noexcept { return rc == -EPERM || rc == -ENOSYS; }

struct statx from_older(const struct stat& older) noexcept {
  const auto time = [](const timespec& from) {
    struct statx_timestamp to{};
    to.tv_sec = from.tv_sec;
    to.tv_nsec = static_cast<unsigned>(from.tv_nsec);
    return to;
  };
  struct statx result{};
  result.stx_mask = STATX_BASIC_STATS;
  result.stx_mode = static_cast<std::uint16_t>(older.st_mode);
  result.stx_size = static_cast<std::uint64_t>(older.st_size);
  result.stx_uid = older.st_uid;
  result.stx_gid = older.st_gid;
  result.stx_dev_major = gnu_dev_major(older.st_dev);
  result.stx_dev_minor = gnu_dev_minor(older.st_dev);
  result.stx_ino = older.st_ino;
  result.stx_nlink = static_cast<unsigned>(older.st_nlink);
  result.stx_blocks = static_cast<std::uint64_t>(older.st_blocks);
  result.stx_blksize = static_cast<unsigned>(older.st_blksize);
  result.stx_mtime = time(older.st_mtim);
  result.stx_atime = time(older.st_atim);
  result.stx_ctime = time(older.st_ctim);
  return result;
}

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

}  // namespace

[[gnu::noinline]] Count open(int at, const char* path, int flags, unsigned mode) noexcept {
  if (int planned = base::inject("openat"); planned != 0) return planned;
  return outcome(::openat(at, path, flags, mode));
}

[[gnu::noinline]] Count open_known(const char* path, int flags) noexcept {
  if (int planned = base::inject("openat2"); planned != 0) return planned;
  open_how how{};
  how.flags = static_cast<unsigned>(flags);
  how.resolve = RESOLVE_CACHED;
  return outcome(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

[[gnu::noinline]] Count close(int fd) noexcept {
  const int planned = base::inject("close_file");
  const Count rc = outcome(::close(fd));
  if (planned != 0) return planned;
  return rc == -EINTR ? 0 : rc;
}

[[gnu::noinline]] Count flags(int fd) noexcept {
  if (int planned = base::inject("fcntl_file"); planned != 0) return planned;
  return outcome(::fcntl(fd, F_GETFL));
}

[[gnu::noinline]] Count set_flags(int fd, int flags) noexcept {
  if (int planned = base::inject("fcntl_set"); planned != 0) return planned;
  return outcome(::fcntl(fd, F_SETFL, flags));
}

[[gnu::noinline]] bool stat_known(int fd, unsigned mask, struct statx& result) noexcept {
  if (base::inject("statx_known") != 0) return false;
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (::statx(fd, "", kFlags, mask | kMountId, &result) != 0) return false;
  return (result.stx_mask & kMountId) != 0 && is_kernels_own(result.stx_mnt_id);
}

[[gnu::noinline]] Count stat(int at, const char* path, int flags, unsigned mask,
                             struct statx& result) noexcept {
  if (int planned = base::inject("statx"); planned != 0) return planned;
  const Count rc = outcome(::statx(at, path, flags, mask, &result));
  // Where the kernel has no statx, glibc emulates it, but does not know this flag.
  const bool is_unknown_flag = rc == -EINVAL && (flags & AT_STATX_DONT_SYNC) != 0;
  if (!is_denied(rc) && !is_unknown_flag) return rc;
  struct stat older{};
  if (::fstatat(at, path, &older, flags & ~AT_STATX_DONT_SYNC) != 0) return outcome(-1);
  result = from_older(older);
  return 0;
}

// A fault plan that allows fewer bytes shortens the first part.
[[gnu::noinline]] Count read(int fd, std::span<const iovec> parts, std::int64_t offset,
                             int flags) noexcept {
  std::size_t asked = kAll;
  if (int planned = base::inject("preadv2", asked); planned != 0) return planned;
  iovec first = parts.front();
  if (asked != kAll) {
    first.iov_len = std::min(first.iov_len, asked);
    parts = std::span(&first, 1);
  }
  const auto count = static_cast<int>(parts.size());
  if (flags != 0) return outcome(::preadv2(fd, parts.data(), count, offset, flags));
  if (count > 1) {
    const Count rc = outcome(offset == kHere ? ::readv(fd, parts.data(), count)
                                             : ::preadv(fd, parts.data(), count, offset));
    if (!is_denied(rc)) return rc;
    first = parts.front();  // move fewer bytes
  }
  return outcome(offset == kHere ? ::read(fd, first.iov_base, first.iov_len)
                                 : ::pread(fd, first.iov_base, first.iov_len, offset));
}

[[gnu::noinline]] Count write(int fd, std::span<const iovec> parts, std::int64_t offset,
                              int flags) noexcept {
  std::size_t asked = kAll;
  if (int planned = base::inject("pwritev2", asked); planned != 0) return planned;
  iovec first = parts.front();
  if (asked != kAll) {
    first.iov_len = std::min(first.iov_len, asked);
    parts = std::span(&first, 1);
  }
  const auto count = static_cast<int>(parts.size());
  if (flags != 0) return outcome(::pwritev2(fd, parts.data(), count, offset, flags));
  if (count > 1) {
    const Count rc = outcome(offset == kHere ? ::writev(fd, parts.data(), count)
                                             : ::pwritev(fd, parts.data(), count, offset));
    if (!is_denied(rc)) return rc;
    first = parts.front();
  }
  return outcome(offset == kHere ? ::write(fd, first.iov_base, first.iov_len)
                                 : ::pwrite(fd, first.iov_base, first.iov_len, offset));
}

[[gnu::noinline]] Count seek(int fd, std::int64_t offset, int whence) noexcept {
  if (int planned = base::inject("lseek"); planned != 0) return planned;
  return outcome(::lseek(fd, offset, whence));
}

[[gnu::noinline]] Count sync(int fd) noexcept {
  if (int planned = base::inject("fsync"); planned != 0) return planned;
  return outcome(::fsync(fd));
}

[[gnu::noinline]] Count sync_data(int fd) noexcept {
  if (int planned = base::inject("fdatasync"); planned != 0) return planned;
  const Count rc = outcome(::fdatasync(fd));
  return is_denied(rc) ? outcome(::fsync(fd)) : rc;
}

[[gnu::noinline]] Count truncate(int fd, std::int64_t size) noexcept {
  if (int planned = base::inject("ftruncate"); planned != 0) return planned;
  return outcome(::ftruncate(fd, size));
}

[[gnu::noinline]] Count allocate(int fd, int mode, std::int64_t offset,
                                 std::int64_t size) noexcept {
  if (int planned = base::inject("fallocate"); planned != 0) return planned;
  const Count rc = outcome(::fallocate(fd, mode, offset, size));
  return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}

[[gnu::noinline]] Count set_mode(int fd, unsigned mode) noexcept {
  if (int planned = base::inject("fchmod"); planned != 0) return planned;
  return outcome(::fchmod(fd, mode));
}

[[gnu::noinline]] Count set_times(int fd, const timespec (&times)[2]) noexcept {
  if (int planned = base::inject("futimens"); planned != 0) return planned;
  return outcome(::futimens(fd, times));
}

[[gnu::noinline]] Count lock(int fd, int operation) noexcept {
  if (int planned = base::inject("flock"); planned != 0) return planned;
  return outcome(::flock(fd, operation));
}

}  // namespace ramie::inline v0::fs::sys
