// See stream.hpp.
#include "runtime/fs/stream.hpp"

#include "io/scheduled_io.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/sys/stream.hpp"
#include "uring/opcodes.hpp"

#include <ramie/io.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <climits>

namespace ramie::inline v0::fs {

namespace {

constexpr Count kMustBlock = std::numeric_limits<Count>::min();

short event_of(Way way) noexcept { return way == Way::read ? POLLIN : POLLOUT; }

// The descriptor may be in the epoll already, from the user or from a wait for the other direction.
// Then this registers a second descriptor of the same description.
Result<io::Registration> register_it(int fd, io::Interest interest, io::sys::UniqueFd& second) {
  auto registration = io::Registration::create(fd, interest);
  if (registration || registration.error() != errc::already_registered) return registration;
  second.reset(static_cast<int>(sys::duplicate(fd)));
  if (!second.is_open()) return failure(std::error_code(-second.get(), std::system_category()));
  return io::Registration::create(second.get(), interest);
}

Result<void> wait_until_ready(int fd, Way way) {
  const bool reads = way == Way::read;
  const io::Interest interest = reads ? io::Interest::readable : io::Interest::writable;
  io::sys::UniqueFd second;  // outlives the registration
  auto registration = register_it(fd, interest, second);
  if (!registration) return failure(registration.error());
  const auto ready =
      io::ScheduledIo::of(*registration)
          .wait(interest, reads ? sched::WaitKind::readable : sched::WaitKind::writable,
                io::ScheduledIo::Sharing::any);
  if (!ready) return failure(ready.error());
  return {};
}

Count call(int fd, const Vector& vector, int flags) noexcept {
  return vector.way() == Way::read ? sys::read(fd, vector.parts(), sys::kHere, flags)
                                   : sys::write_quietly(fd, vector.parts(), flags);
}

Count try_now(const Stream& stream, const Vector& vector) noexcept {
  if (stream.is_ours) return call(stream.fd, vector, 0);
  const Count n = call(stream.fd, vector, RWF_NOWAIT);
  const bool has_no_such_way = n == -EOPNOTSUPP || n == -EINVAL || n == -ENOSYS || n == -EPERM;
  if (!has_no_such_way) return n;
  const Count ready = sys::poll(stream.fd, event_of(vector.way()), 0);
  if (ready < 0) return ready;
  return ready > 0 ? kMustBlock : -EAGAIN;
}

Count move_on_thread(const Stream& stream, const Vector& vector) noexcept {
  for (;;) {
    const Count n = call(stream.fd, vector, 0);
    if (n == -EAGAIN) {
      const Count ready = sys::poll(stream.fd, event_of(vector.way()), -1);
      if (ready < 0 && ready != -EINTR) return ready;
    } else if (n != -EINTR) {
      return n;
    }
  }
}

}  // namespace

bool is_device(unsigned kind) noexcept { return kind == S_IFCHR || kind == 0; }

bool has_other_end(unsigned kind) noexcept {
  return kind == S_IFIFO || kind == S_IFSOCK || is_device(kind);
}

Count can_wait(int fd) noexcept {
  io::sys::UniqueFd second;
  const auto registration = register_it(fd, io::Interest::readable, second);
  if (registration) return 0;
  if (registration.error().category() != std::system_category()) return -EAGAIN;
  return -registration.error().value();
}

Count move(Calls& calls, const Stream& stream, const Vector& vector) {
  if (current_place() == Place::here) return move_on_thread(stream, vector);
  const Vector piece(vector, 0, kAtOnce);
  // A blocking write ends when everything is written. This many bytes fit if any fit.
  const Vector sure(vector, 0, vector.way() == Way::write ? PIPE_BUF : kAtOnce);
  for (;;) {
    Count n = try_now(stream, piece);
    if (n == kMustBlock) n = calls.perform([&] { return call(stream.fd, sure, 0); });
    if (n == -EINTR) continue;
    if (n != -EAGAIN) return n;
    if (auto ready = wait_until_ready(stream.fd, vector.way()); !ready)
      return calls.give_up(ready.error());
  }
}

Result<void> move_all(Calls& calls, const Stream& stream, Way way,
                      std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const Count n = move(calls, stream, Vector(way, bytes.data(), bytes.size()));
    if (n < 0) return failure(calls.code(n));
    if (n == 0) return failure(std::make_error_code(nothing_moved(way)));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

// --- opening

namespace {

// Sleeps between two tries.
Result<void> nap(std::chrono::milliseconds& delay) noexcept {
  constexpr std::chrono::milliseconds kLongest(50);
  const auto now = delay;
  delay = std::min(delay * 2, kLongest);
  return sleep_for(now);
}

Result<void> wait_for_writer(const Opened& opened) {
  for (std::chrono::milliseconds delay(1);;) {
    if (sys::poll(opened.fd.get(), POLLIN, 0) > 0) return {};  // a writer is or was there
    if (sys::has_writer(opened.fd.get()) > 0) return {};
    if (auto slept = nap(delay); !slept) return slept;
  }
}

Count open_once(Calls& calls, const char* path, int flags, unsigned mode) {
  return calls.perform(
      uring::kOpenat,
      [&](uring::Entry& entry) {
        entry.fd = AT_FDCWD;
        entry.address = uring::address_of(path);
        entry.length = mode;
        entry.operation_flags = static_cast<std::uint32_t>(flags);
      },
      [&] { return sys::open(AT_FDCWD, path, flags, mode); });
}

// Finds out why an open for writing reports that nothing reads: whether it is a FIFO.
Result<Opened> without_reader(Calls& calls, const char* path) {
  const auto data = stat(calls, AT_FDCWD, path, 0);
  if (!data && calls.is_ended()) return failure(calls.code(-ECANCELED));
  if (!data || data->type != FileType::fifo) return failure(calls.code(-ENXIO));
  Opened opened;
  opened.lacks_reader = true;
  return opened;
}

}  // namespace

// In a fiber every open is non-blocking, because the type of the file is known only afterwards. If
// the file has no other end, the flag is removed again.
Result<Opened> open(Calls& calls, const char* path, int flags, unsigned mode) {
  flags |= O_CLOEXEC;
  const bool is_nobodys = (flags & (O_NONBLOCK | O_PATH | O_DIRECTORY)) != 0;
  const bool is_new = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
  const bool must_not_wait = calls.is_for_fiber() && !is_nobodys && !is_new;
  const int access = flags & O_ACCMODE;
  Opened opened;
  Count fd = open_once(calls, path, must_not_wait ? flags | O_NONBLOCK : flags, mode);
  if (fd == -ENXIO && must_not_wait && access == O_WRONLY) return without_reader(calls, path);
  bool is_nonblocking = must_not_wait;
  if (fd == -EAGAIN && must_not_wait) {  // a lease, which its holder gives back within seconds
    fd = open_once(calls, path, flags, mode);
    is_nonblocking = false;
  }
  if (fd < 0) return failure(calls.code(fd));
  opened.fd.reset(static_cast<int>(fd));
  const bool is_known = (flags & O_PATH) != 0 || is_new;
  const Count kind = is_known ? S_IFREG : sys::kind(opened.fd.get(), opened.size);
  opened.kind = kind < 0 ? S_IFREG : static_cast<unsigned>(kind);
  if (opened.kind == S_IFBLK && is_nonblocking) {  // O_NONBLOCK matters to drives without a medium
    opened.fd.reset();
    fd = open_once(calls, path, flags, mode);
    if (fd < 0) return failure(calls.code(fd));
    opened.fd.reset(static_cast<int>(fd));
    return opened;
  }
  if (is_nonblocking && !opened.has_other_end()) {
    const Count rc = sys::set_flags(opened.fd.get(), flags & ~O_NONBLOCK);
    if (rc < 0) return failure(calls.code(rc));
    return opened;
  }
  opened.is_nonblocking = is_nonblocking || (flags & O_NONBLOCK) != 0;
  opened.lacks_writer = is_nonblocking && opened.kind == S_IFIFO && access == O_RDONLY;
  return opened;
}

Result<Opened> settle(Opened opened, const char* path, int flags, unsigned mode) {
  for (std::chrono::milliseconds delay(1); opened.lacks_reader;) {
    if (auto slept = nap(delay); !slept) return failure(slept.error());
    auto again = run([&](Calls& calls) { return open(calls, path, flags, mode); });
    if (!again) return again;
    opened = std::move(*again);
  }
  if (opened.lacks_writer)
    if (auto came = wait_for_writer(opened); !came) return failure(came.error());
  if (is_device(opened.kind) && can_wait(opened.fd.get()) == -EPERM) {
    opened.kind = S_IFREG;
    if (std::exchange(opened.is_nonblocking, false) && (flags & O_NONBLOCK) == 0) {
      const Count rc = sys::set_flags(opened.fd.get(), flags);
      if (rc < 0) return failure(std::error_code(static_cast<int>(-rc), std::system_category()));
    }
  }
  return opened;
}

}  // namespace ramie::inline v0::fs
