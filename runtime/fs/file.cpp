// File: moves what the page cache has at once, in the fiber. run() decides where the rest is done.
//
// The position is under a lock of ours. With io_uring a transfer at the position takes three steps
// (transfer.cpp), and a fiber that waits for the position blocks no thread of the pool.
//
// Rejected: a position of our own, which would turn every call into one at an offset. Append, and a
// descriptor that others share, need the kernel's position.
#include "io/sys/outcome.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/stream.hpp"
#include "runtime/fs/sys/stream.hpp"
#include "uring/opcodes.hpp"

#include <ramie/fs/file.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <cerrno>
#include <limits>

namespace ramie::inline v0::fs {

namespace {

using io::not_open;

std::unexpected<std::error_code> invalid() noexcept {
  return failure(std::make_error_code(std::errc::invalid_argument));
}

bool is_offset(std::uint64_t offset) noexcept {
  return offset <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

Vector reading(std::span<std::byte> buffer) noexcept {
  return {Way::read, buffer.data(), buffer.size()};
}
Vector writing(std::span<const std::byte> data) noexcept {
  return {Way::write, data.data(), data.size()};
}

// A turn at a file's position, or why there is none.
class Turn {
 public:
  explicit Turn(sync::Mutex& mutex) noexcept : mutex_(mutex), entered_(mutex.lock_cancelable()) {}
  ~Turn() {
    if (entered_) mutex_.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  const Result<void>& entered() const noexcept { return entered_; }

 private:
  sync::Mutex& mutex_;
  const Result<void> entered_;
};

// Makes `call()` on the descriptor `fd`; io_uring has no opcode for it.
template <class Call>
Result<void> change(int fd, Call&& call) {
  if (fd < 0) return not_open();
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return run_blocking([&](Calls& calls) { return calls.outcome(calls.perform(call)); });
}

Result<void> synchronise(int fd, bool only_data) {
  if (fd < 0) return not_open();
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return run([&](Calls& calls) {
    const Count rc = calls.perform(
        uring::kFsync,
        [&](uring::Entry& entry) {
          entry.fd = fd;
          entry.operation_flags = only_data ? uring::kFsyncDatasync : 0;
        },
        [&] { return only_data ? sys::sync_data(fd) : sys::sync(fd); });
    return calls.outcome(rc);
  });
}

timespec time_from(const std::optional<Metadata::Time>& time) noexcept {
  timespec raw{};
  raw.tv_nsec = UTIME_OMIT;
  if (!time) return raw;
  const auto since = time->time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  raw.tv_sec = seconds.count();
  raw.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
  return raw;
}

}  // namespace

// --- open and close

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), slow_(other.slow_.load(std::memory_order_relaxed)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    (void)close();
    fd_ = std::exchange(other.fd_, -1);
    slow_.store(other.slow_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  return *this;
}

File::~File() {
  if (fd_ >= 0) (void)close();
}

Result<void> File::close() noexcept {
  if (fd_ < 0) return not_open();
  return io::result_of(sys::close(std::exchange(fd_, -1)));
}

Result<File> File::open(PathRef path) { return OpenOptions().read().open(path); }

Result<File> File::create(PathRef path) {
  return OpenOptions().write().create().truncate().open(path);
}

// RWF_NOWAIT does not wait for locks, but past the page cache the kernel still waits for the disk.
// It also waits where a write must be synchronised.
File::Ways File::slow_ways(int flags) noexcept {
  constexpr auto kWrite = static_cast<Ways>(Way::write);
  constexpr auto kBoth = static_cast<Ways>(static_cast<Ways>(Way::read) | kWrite);
  if ((flags & O_DIRECT) != 0) return kBoth;
  return (flags & (O_SYNC | O_DSYNC)) != 0 ? kWrite : Ways{0};
}

File File::from_fd(int fd) noexcept {
  const Count flags = fd < 0 ? 0 : sys::flags(fd);
  const Ways slow = flags < 0 ? Ways{0} : slow_ways(static_cast<int>(flags));
  std::uint64_t size = 0;
  const Count kind = fd < 0 ? S_IFREG : sys::kind(fd, size);
  const Ways ways = kind < 0 ? Ways{0} : ways_of(static_cast<unsigned>(kind));
  return {fd, static_cast<Ways>(slow | ways | kShared)};
}

File::Ways File::ways_of(unsigned kind) noexcept {
  if (!has_other_end(kind)) return 0;
  return is_device(kind) ? kOtherEnd | kUnsure : kOtherEnd;
}

// With another end, readers and writers do not wait for each other.
sync::Mutex& File::turns_of(Ways way) const noexcept {
  const bool is_apart = way == static_cast<Ways>(Way::write) && has(kOtherEnd);
  return is_apart ? writing_ : position_;
}

// Whether calls wait for readiness. The first fiber that uses a device asks whether epoll accepts
// it. If a plain thread opened the file, it becomes non-blocking; that thread's calls then wait in
// poll(2).
bool File::waits_for_somebody() const {
  if (!has(kOtherEnd)) return false;
  if (current_place() == Place::here) return true;
  if (has(kUnsure)) {
    const Count rc = can_wait(fd_);
    if (rc == -EPERM) {
      slow_.fetch_and(static_cast<Ways>(~(kOtherEnd | kUnsure)), std::memory_order_relaxed);
      return false;
    }
    if (rc == 0) slow_.fetch_and(static_cast<Ways>(~kUnsure), std::memory_order_relaxed);
  }
  if (!has(static_cast<Ways>(kShared | kNonblocking))) {
    const Count flags = sys::flags(fd_);
    if (flags >= 0 && sys::set_flags(fd_, static_cast<int>(flags) | O_NONBLOCK) == 0)
      slow_.fetch_or(kNonblocking, std::memory_order_relaxed);
  }
  return true;
}

// --- transfers

// Returns nullopt if the caller must take the slow path. It must also when the kernel reports the
// end of the file: some kernels (5.9, 5.10) report that for a page that is not in the cache.
std::optional<std::int64_t> File::at_once(const Vector& vector, std::int64_t offset) const {
  const auto way = static_cast<Ways>(vector.way());
  if (vector.total() > kAtOnce || current_place() == Place::here) return std::nullopt;
  if ((slow_.load(std::memory_order_relaxed) & way) != 0) return std::nullopt;
  const Count n = vector.way() == Way::read ? sys::read(fd_, vector.parts(), offset, RWF_NOWAIT)
                                            : sys::write(fd_, vector.parts(), offset, RWF_NOWAIT);
  switch (n) {
    case -EOPNOTSUPP:
    case -ENOSYS:
    case -EPERM:
    case -EINVAL:  // from an old kernel or a sandbox; a real error will come again
      slow_.fetch_or(way, std::memory_order_relaxed);
      return std::nullopt;
    case 0:
    case -EAGAIN:
    case -EINTR: return std::nullopt;
    default: return n;
  }
}

Result<std::size_t> File::transfer(const Vector& vector, std::int64_t offset) const {
  if (vector.total() == 0) return std::size_t{0};
  if (offset == sys::kHere && waits_for_somebody()) {
    Calls calls(current_place());
    const Count moved = move(calls, {fd_, has(kNonblocking)}, vector);
    if (moved < 0) return failure(calls.code(moved));
    return static_cast<std::size_t>(moved);
  }
  auto n = at_once(vector, offset);
  if (n) {
    if (*n < 0) return failure(Calls(Place::here).code(*n));
    return static_cast<std::size_t>(*n);
  }
  return run([&](Calls& calls) -> Result<std::size_t> {
    calls.share_position(is_shared());
    const Count moved = fs::transfer_some(calls, fd_, vector, offset);
    if (moved < 0) return failure(calls.code(moved));
    return static_cast<std::size_t>(moved);
  });
}

Result<void> File::transfer_all(Ways way, std::span<const std::byte> bytes,
                                std::int64_t offset) const {
  if (bytes.empty()) return {};
  const auto kind = static_cast<Way>(way);
  if (offset == sys::kHere && waits_for_somebody()) {
    Calls calls(current_place());
    return move_all(calls, {fd_, has(kNonblocking)}, kind, bytes);
  }
  if (const auto n = at_once(Vector(kind, bytes.data(), bytes.size()), offset)) {
    if (*n < 0) return failure(Calls(Place::here).code(*n));
    bytes = bytes.subspan(static_cast<std::size_t>(*n));
    if (offset != sys::kHere) offset += *n;
    if (bytes.empty()) return {};
  }
  return run([&](Calls& calls) {
    calls.share_position(is_shared());
    return fs::transfer_all(calls, fd_, kind, bytes, offset);
  });
}

template <class Container>
Result<std::size_t> File::append_rest(Container& content) const {
  if (fd_ < 0) return not_open();
  const Turn turn(position_);
  if (!turn.entered()) return failure(turn.entered().error());
  if (waits_for_somebody()) {
    Calls calls(current_place());
    return append_all(calls, {fd_, has(kNonblocking)}, content);
  }
  return run([&](Calls& calls) -> Result<std::size_t> {
    calls.share_position(is_shared());
    const auto size = likely_size(calls, fd_);
    if (!size) return failure(size.error());
    const Count here = sys::seek(fd_, 0, SEEK_CUR);
    const auto before = static_cast<std::uint64_t>(std::max<Count>(here, 0));
    const bool is_slow =
        (slow_.load(std::memory_order_relaxed) & static_cast<Ways>(Way::read)) != 0;
    return fs::append_rest(calls, fd_, content, *size - std::min(before, *size),
                           is_slow ? Cache::has_nothing : Cache::may_have_it);
  });
}

// --- at the position

Result<std::size_t> File::read(std::span<std::byte> buffer) { return here(reading(buffer)); }

Result<std::size_t> File::read_vectored(std::span<const std::span<std::byte>> buffers) {
  return here(Vector(Way::read, buffers));
}

Result<std::size_t> File::write(std::span<const std::byte> data) { return here(writing(data)); }

Result<std::size_t> File::write_vectored(std::span<const std::span<const std::byte>> data) {
  return here(Vector(Way::write, data));
}

Result<std::size_t> File::here(const Vector& vector) const {
  if (fd_ < 0) return not_open();
  const Turn turn(turns_of(static_cast<Ways>(vector.way())));
  if (!turn.entered()) return failure(turn.entered().error());
  return transfer(vector, sys::kHere);
}

Result<void> File::read_exact(std::span<std::byte> buffer) {
  if (fd_ < 0) return not_open();
  const Turn turn(position_);
  if (!turn.entered()) return turn.entered();
  return transfer_all(static_cast<Ways>(Way::read), buffer, sys::kHere);
}

Result<void> File::write_all(std::span<const std::byte> data) {
  if (fd_ < 0) return not_open();
  const Turn turn(turns_of(static_cast<Ways>(Way::write)));
  if (!turn.entered()) return turn.entered();
  return transfer_all(static_cast<Ways>(Way::write), data, sys::kHere);
}

Result<std::size_t> File::read_to_end(std::vector<std::byte>& buffer) {
  return append_rest(buffer);
}

Result<std::size_t> File::read_to_string(std::string& text) { return append_rest(text); }

// A seek from the end is a job of the pool: a network file system asks its server for the size.
Result<std::uint64_t> File::seek(std::int64_t offset, Whence from) {
  if (fd_ < 0) return not_open();
  const Turn turn(position_);
  if (!turn.entered()) return failure(turn.entered().error());
  const int whence = from == Whence::start ? SEEK_SET : from == Whence::end ? SEEK_END : SEEK_CUR;
  const auto sequence = [&](Calls& calls) -> Result<std::uint64_t> {
    const Count rc = calls.perform([&] { return sys::seek(fd_, offset, whence); });
    if (rc < 0) return failure(calls.code(rc));
    return static_cast<std::uint64_t>(rc);
  };
  if (from == Whence::end) return run_blocking(sequence);
  Calls calls(Place::here);
  return sequence(calls);
}

Result<std::uint64_t> File::position() const {
  return const_cast<File*>(this)->seek(0, Whence::current);
}

// --- at any offset

Result<std::size_t> File::at(const Vector& vector, std::uint64_t offset) const {
  if (fd_ < 0) return not_open();
  if (!is_offset(offset)) return invalid();
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  return transfer(vector, static_cast<std::int64_t>(offset));
}

Result<void> File::all_at(Ways way, std::span<const std::byte> bytes, std::uint64_t offset) const {
  if (fd_ < 0) return not_open();
  if (!is_offset(offset) || !is_offset(offset + bytes.size())) return invalid();
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return transfer_all(way, bytes, static_cast<std::int64_t>(offset));
}

Result<std::size_t> File::read_at(std::span<std::byte> buffer, std::uint64_t offset) const {
  return at(reading(buffer), offset);
}

Result<std::size_t> File::read_vectored_at(std::span<const std::span<std::byte>> buffers,
                                           std::uint64_t offset) const {
  return at(Vector(Way::read, buffers), offset);
}

Result<void> File::read_exact_at(std::span<std::byte> buffer, std::uint64_t offset) const {
  return all_at(static_cast<Ways>(Way::read), buffer, offset);
}

Result<std::size_t> File::write_at(std::span<const std::byte> data, std::uint64_t offset) {
  return at(writing(data), offset);
}

Result<std::size_t> File::write_vectored_at(std::span<const std::span<const std::byte>> data,
                                            std::uint64_t offset) {
  return at(Vector(Way::write, data), offset);
}

Result<void> File::write_all_at(std::span<const std::byte> data, std::uint64_t offset) {
  return all_at(static_cast<Ways>(Way::write), data, offset);
}

// --- the file itself

Result<void> File::sync_all() { return synchronise(fd_, false); }
Result<void> File::sync_data() { return synchronise(fd_, true); }

Result<void> File::set_len(std::uint64_t size) {
  if (fd_ < 0) return not_open();
  if (!is_offset(size)) return invalid();
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return run([&](Calls& calls) {
    const Count rc = calls.perform(
        uring::kFtruncate,
        [&](uring::Entry& entry) {
          entry.fd = fd_;
          entry.offset = size;
        },
        [&] { return sys::truncate(fd_, static_cast<std::int64_t>(size)); });
    return calls.outcome(rc);
  });
}

Result<void> File::allocate(std::uint64_t offset, std::uint64_t size) {
  if (fd_ < 0) return not_open();
  if (!is_offset(offset) || !is_offset(size)) return invalid();
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return run([&](Calls& calls) {
    const Count rc = calls.perform(
        uring::kFallocate,
        [&](uring::Entry& entry) {
          entry.fd = fd_;
          entry.offset = offset;
          entry.address = size;
        },
        [&] {
          return sys::allocate(fd_, 0, static_cast<std::int64_t>(offset),
                               static_cast<std::int64_t>(size));
        });
    return calls.outcome(rc);
  });
}

Result<Metadata> File::metadata() const {
  if (fd_ < 0) return not_open();
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  if (const auto known = known_metadata(fd_)) return *known;
  return run([&](Calls& calls) { return stat(calls, fd_, "", AT_EMPTY_PATH); });
}

Result<void> File::set_permissions(std::uint32_t mode) {
  return change(fd_, [&] { return sys::set_mode(fd_, mode); });
}

Result<void> File::set_times(const FileTimes& times) {
  const timespec raw[2] = {time_from(times.accessed), time_from(times.modified)};
  return change(fd_, [&] { return sys::set_times(fd_, raw); });
}

// --- locks

Result<bool> File::try_for_lock(int operation) {
  const auto got = change(fd_, [&] { return sys::lock(fd_, operation | LOCK_NB); });
  if (got) return true;
  // Compare the category: for "no thread now" the pool returns an equal condition.
  if (got.error() == std::error_code(EWOULDBLOCK, std::system_category())) return false;
  return failure(got.error());
}

Result<void> File::wait_for_lock(int operation) {
  if (current_place() == Place::here) return change(fd_, [&] { return sys::lock(fd_, operation); });
  constexpr std::chrono::milliseconds kLongest(50);
  for (std::chrono::milliseconds delay(1);; delay = std::min(delay * 2, kLongest)) {
    const auto got = try_for_lock(operation);
    if (!got) return failure(got.error());
    if (*got) return {};
    if (auto slept = sleep_for(delay); !slept) return slept;
  }
}

Result<void> File::lock() { return wait_for_lock(LOCK_EX); }
Result<void> File::lock_shared() { return wait_for_lock(LOCK_SH); }
Result<bool> File::try_lock() { return try_for_lock(LOCK_EX); }
Result<bool> File::try_lock_shared() { return try_for_lock(LOCK_SH); }

Result<void> File::unlock() noexcept {
  if (fd_ < 0) return not_open();
  Calls calls(Place::here);
  return calls.outcome(calls.perform([&] { return sys::lock(fd_, LOCK_UN); }));
}

}  // namespace ramie::inline v0::fs
