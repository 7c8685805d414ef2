// OpenOptions: which combinations are valid, and their flags for open(2).
#include "runtime/fs/path.hpp"
#include "runtime/fs/stream.hpp"

#include <ramie/fs/file.hpp>

#include <fcntl.h>

namespace ramie::inline v0::fs {

Result<int> OpenOptions::flags() const noexcept {
  const auto invalid = failure(std::make_error_code(std::errc::invalid_argument));
  const bool writes = write_ || append_;
  if (!read_ && !writes) return invalid;
  if (!writes && (truncate_ || create_ || create_new_)) return invalid;
  if (append_ && truncate_ && !create_new_) return invalid;
  int flags = custom_ & ~O_ACCMODE;
  flags |= read_ && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  if (append_) flags |= O_APPEND;
  if (create_new_) flags |= O_CREAT | O_EXCL;
  else if (create_) flags |= O_CREAT;
  if (truncate_ && !create_new_) flags |= O_TRUNC;
  if (direct_) flags |= O_DIRECT;
  if (sync_) flags |= O_SYNC;
  if (dsync_) flags |= O_DSYNC;
  if (no_follow_) flags |= O_NOFOLLOW;
  return flags;
}

Result<File> OpenOptions::open(PathRef path) const {
  const auto wanted = flags();
  if (!wanted) return failure(wanted.error());
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  auto opened = run([&](Calls& calls) { return fs::open(calls, text.c_str(), *wanted, mode_); });
  if (opened && opened->has_other_end())
    opened = settle(std::move(*opened), text.c_str(), *wanted, mode_);
  if (!opened) return failure(opened.error());
  File::Ways ways = File::slow_ways(*wanted) | File::ways_of(opened->kind);
  if (opened->is_nonblocking) ways |= File::kNonblocking;
  return File(opened->fd.release(), ways);
}

}  // namespace ramie::inline v0::fs
