// Metadata: reads it with statx and converts it.
#include "io/sys/fd.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/sys/file.hpp"
#include "uring/opcodes.hpp"

#include <ramie/sync/wait_queue.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <cerrno>

namespace ramie::inline v0::fs {

namespace {

FileType type_of(unsigned mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG: return FileType::file;
    case S_IFDIR: return FileType::directory;
    case S_IFLNK: return FileType::symlink;
    case S_IFBLK: return FileType::block_device;
    case S_IFCHR: return FileType::character_device;
    case S_IFIFO: return FileType::fifo;
    case S_IFSOCK: return FileType::socket;
    default: return FileType::unknown;
  }
}

// The clock's nanoseconds cover 1677 to 2262. A time outside becomes the nearest.
Metadata::Time time_of(const statx_timestamp& time) noexcept {
  using Time = Metadata::Time;
  constexpr auto kSeconds = std::chrono::duration_cast<std::chrono::seconds>(Time::duration::max());
  if (time.tv_sec >= kSeconds.count()) return Time::max();
  if (time.tv_sec <= -kSeconds.count()) return Time::min();
  return Time(std::chrono::duration_cast<Time::duration>(std::chrono::seconds(time.tv_sec) +
                                                         std::chrono::nanoseconds(time.tv_nsec)));
}

Metadata from_kernel(const struct statx& raw) noexcept {
  Metadata data;
  data.type = type_of(raw.stx_mode);
  data.mode = raw.stx_mode & 07777U;
  data.size = raw.stx_size;
  data.uid = raw.stx_uid;
  data.gid = raw.stx_gid;
  data.device = gnu_dev_makedev(raw.stx_dev_major, raw.stx_dev_minor);
  data.inode = raw.stx_ino;
  data.links = raw.stx_nlink;
  data.blocks = raw.stx_blocks;
  data.block_size = raw.stx_blksize;
  data.modified = time_of(raw.stx_mtime);
  data.accessed = time_of(raw.stx_atime);
  data.changed = time_of(raw.stx_ctime);
  if ((raw.stx_mask & STATX_BTIME) != 0) data.created = time_of(raw.stx_btime);
  return data;
}

constexpr unsigned kMask = STATX_BASIC_STATS | STATX_BTIME;

// Looks first in the kernel's caches: io_uring does every statx on a thread, as the pool does,
// which takes ten times as long (measured on 6.18).
std::optional<Metadata> look_in_caches(const char* path, int flags) noexcept {
  if (current_place() == Place::here) return std::nullopt;  // a plain thread may wait
  const int no_follow = (flags & AT_SYMLINK_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
  const io::sys::UniqueFd fd(
      static_cast<int>(sys::open_known(path, O_PATH | O_CLOEXEC | no_follow)));
  struct statx raw{};
  if (!fd.is_open() || !sys::stat_known(fd.get(), kMask, raw)) return std::nullopt;
  return from_kernel(raw);
}

Result<Metadata> look(PathRef path, int flags) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  if (const auto known = look_in_caches(text.c_str(), flags)) return *known;
  return run([&](Calls& calls) { return stat(calls, AT_FDCWD, text.c_str(), flags); });
}

}  // namespace

std::optional<Metadata> known_metadata(int fd) noexcept {
  struct statx raw{};
  if (current_place() == Place::here || !sys::stat_known(fd, kMask, raw)) return std::nullopt;
  return from_kernel(raw);
}

Result<Metadata> stat(Calls& calls, int at, const char* path, int flags) {
  struct statx raw{};
  const Count rc = calls.perform(
      uring::kStatx,
      [&](uring::Entry& entry) {
        entry.fd = at;
        entry.address = uring::address_of(path);
        entry.length = kMask;
        entry.offset = uring::address_of(&raw);
        entry.operation_flags = static_cast<std::uint32_t>(flags);
      },
      [&] { return sys::stat(at, path, flags, kMask, raw); });
  if (rc < 0) return failure(calls.code(rc));
  return from_kernel(raw);
}

// In a fiber the call is made here: io_uring does every statx on a thread, which takes ten times as
// long (measured on 6.18), and for an open file there is nothing to wait for.
Result<std::uint64_t> likely_size(Calls& calls, int fd) {
  struct statx raw{};
  const auto call = [&] {
    return sys::stat(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, raw);
  };
  Count rc = -EINTR;
  while (rc == -EINTR) rc = calls.is_in_fiber() ? call() : calls.perform(call);
  if (rc < 0) return failure(calls.code(rc));
  return raw.stx_size;
}

Result<Metadata> metadata(PathRef path) { return look(path, 0); }

Result<Metadata> symlink_metadata(PathRef path) { return look(path, AT_SYMLINK_NOFOLLOW); }

Result<bool> exists(PathRef path) {
  const auto found = metadata(path);
  if (found) return true;
  if (found.error() == std::errc::no_such_file_or_directory ||
      found.error() == std::errc::not_a_directory)
    return false;
  return failure(found.error());
}

}  // namespace ramie::inline v0::fs
