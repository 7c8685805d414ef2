// See stream.hpp.
#include "runtime/fs/sys/stream.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <limits>

namespace ramie::inline v0::fs::sys {

using io::sys::outcome;

namespace {

constexpr int kNoSignal = 0x100;  // RWF_NOSIGNAL, Linux 6.18
constinit base::Atomic<bool> has_no_signal{true};

bool is_unknown(Count rc) noexcept {
  return rc == -EOPNOTSUPP || rc == -EINVAL || rc == -ENOSYS || rc == -EPERM;
}

// Blocks SIGPIPE in this thread during a write. A SIGPIPE that arrives is caused by this write,
// because the kernel sends it to the writing thread. One that was pending before stays. If a
// sandbox does not let us take the signal, it stays pending and blocked: unblocked it would end the
// program.
class KeepBack {
 public:
  KeepBack() noexcept {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    error_ = ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    if (error_ != 0) return;
    was_blocked_ = ::sigismember(&before_, SIGPIPE) == 1;
    sigset_t pending;
    if (was_blocked_ && ::sigpending(&pending) == 0)
      was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
  }
  ~KeepBack() {
    if (error_ == 0 && !was_blocked_) (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  KeepBack(const KeepBack&) = delete;
  KeepBack& operator=(const KeepBack&) = delete;

  // 0, or why SIGPIPE could not be blocked.
  int error() const noexcept { return error_; }
  void take() noexcept {
    constexpr timespec kNow{};
    if (!was_pending_ && ::sigtimedwait(&pipe_, nullptr, &kNow) < 0) was_blocked_ = true;
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
  int error_ = 0;
  bool was_blocked_ = false;
  bool was_pending_ = false;
};

// A sandbox may deny the newer calls and allow write(2). Then fewer bytes are written.
Count write_parts(int fd, std::span<const iovec> parts, int flags) noexcept {
  const auto count = static_cast<int>(parts.size());
  if (flags != 0) return outcome(::pwritev2(fd, parts.data(), count, kHere, flags));
  if (count > 1) {
    const Count rc = outcome(::writev(fd, parts.data(), count));
    if (rc != -EPERM && rc != -ENOSYS) return rc;
  }
  return outcome(::write(fd, parts.front().iov_base, parts.front().iov_len));
}

[[gnu::noinline]] Count stat_kind(int fd, std::uint64_t& size) noexcept {
  if (int planned = base::inject("fstat"); planned != 0) return planned;
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  struct statx found{};
  if (::statx(fd, "", kFlags, STATX_TYPE | STATX_SIZE, &found) == 0) {
    size = found.stx_size;
    return found.stx_mode & S_IFMT;
  }
  struct stat older{};  // a sandbox may deny the newer call
  if (::fstat(fd, &older) != 0) return outcome(-1);
  size = static_cast<std::uint64_t>(older.st_size);
  return older.st_mode & S_IFMT;
}

}  // namespace

// If a sandbox denies both calls, a file without a position counts as a pipe.
[[gnu::noinline]] Count kind(int fd, std::uint64_t& size) noexcept {
  size = 0;
  const Count known = stat_kind(fd, size);
  if (known >= 0) return known;
  Count position = base::inject("lseek");
  if (position == 0) position = outcome(::lseek(fd, 0, SEEK_CUR));
  if (position == -ESPIPE) return S_IFIFO;
  return position < 0 ? known : S_IFREG;
}

[[gnu::noinline]] Count write_quietly(int fd, std::span<const iovec> parts, int flags) noexcept {
  std::size_t asked = std::numeric_limits<std::size_t>::max();
  if (int planned = base::inject("write_stream", asked); planned != 0) return planned;
  iovec first = parts.front();
  if (asked < first.iov_len) {
    first.iov_len = asked;
    parts = std::span(&first, 1);
  }
  if (has_no_signal.load(base::kRelaxed)) {
    const Count rc = write_parts(fd, parts, flags | kNoSignal);
    if (!is_unknown(rc)) return rc;
  }
  KeepBack signal;
  if (signal.error() != 0) return -signal.error();
  const Count older = write_parts(fd, parts, flags);
  if (older == -EPIPE) signal.take();
  if (!is_unknown(older)) has_no_signal.store(false, base::kRelaxed);
  return older;
}

[[gnu::noinline]] Count poll(int fd, short events, int milliseconds) noexcept {
  if (int planned = base::inject("poll_stream"); planned != 0) return planned;
  pollfd place{fd, events, 0};
  return outcome(::poll(&place, 1, milliseconds));
}

// tee(2) returns 0 only without a writer. With a writer that has written nothing it returns EAGAIN.
[[gnu::noinline]] Count has_writer(int fd) noexcept {
  if (int planned = base::inject("tee"); planned != 0) return planned;
  std::array<int, 2> scrap{};
  if (::pipe2(scrap.data(), O_CLOEXEC) != 0) return outcome(-1);
  const Count rc = outcome(::tee(fd, scrap[1], 1, SPLICE_F_NONBLOCK));
  for (const int end : scrap) (void)::close(end);
  if (rc == -EAGAIN) return 1;
  return std::min<Count>(rc, 1);
}

[[gnu::noinline]] Count duplicate(int fd) noexcept {
  if (int planned = base::inject("dup_stream"); planned != 0) return planned;
  return outcome(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

}  // namespace ramie::inline v0::fs::sys
