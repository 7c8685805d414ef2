// Files: opening, reading and writing, at the file's own position or at any.
//
// In a fiber only the fiber waits for the disk. What the page cache holds is read at once, without
// a switch; the rest is an operation of the worker's io_uring, or a job of the blocking pool where
// the kernel has none. Outside of fibers the calls block their thread.
//
// One File may be used by several fibers and threads at a time, of any runtime. The calls without
// an offset move the file's position: they take turns, so that each takes its bytes from where the
// one before it ended, and a waiting one can be cancelled. It must not be closed, moved from or
// destroyed while a call is under way.
//
// A cancelled fiber is refused before anything is moved. A cancel that comes later ends a call as
// soon as the kernel lets go of the memory, for a disk when the piece under way, of 1 MiB at
// most, is done; then what was moved is returned, and the error comes from the next call.
//
// Pipes, terminals, sockets and devices that epoll takes are waited for by readiness: a deadline
// ends the wait at once, and no thread is kept. Their readers take turns, and so do their writers;
// a reader and a writer do not wait for each other.
#pragma once

#include <ramie/detail/atomic.hpp>
#include <ramie/detail/bytes.hpp>
#include <ramie/fs/metadata.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>
#include <ramie/sync/mutex.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace fs {

class Vector;

enum class Whence : std::uint8_t { start, current, end };

/// What set_times() sets; what is not given stays.
struct FileTimes {
  std::optional<Metadata::Time> accessed = {};
  std::optional<Metadata::Time> modified = {};
};

/// An open file. Destroying it closes it, and what close() would have said is lost.
///
/// Offsets and sizes above 2^63-1 are invalid_argument. A File that holds none (made by default,
/// moved from, closed) says bad_file_descriptor.
class File {
 public:
  File() noexcept = default;
  RAMIE_API File(File&& other) noexcept;
  RAMIE_API File& operator=(File&& other) noexcept;
  RAMIE_API ~File();

  /// Opens a file for reading; OpenOptions has the rest.
  /// Returns  the file.
  /// Errors   as OpenOptions::open().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: no descriptor is lost.
  [[nodiscard]] RAMIE_API static Result<File> open(PathRef path);
  /// Opens a file for writing: makes it if it is not there, empties it if it is.
  [[nodiscard]] RAMIE_API static Result<File> create(PathRef path);
  /// Takes over a descriptor. Its description may be others', too (standard input is the shell's),
  /// so O_NONBLOCK stays as it is. Before a read or write of a terminal or of a FIFO, for which the
  /// kernel has no call that does not wait, a fiber waits until there is something: only if another
  /// process takes it in between does a thread of the blocking pool wait for the next.
  /// Returns  the file, which owns `fd`; one that holds none if `fd` is negative.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API static File from_fd(int fd) noexcept;
  /// Gives the descriptor back; the caller closes it.
  [[nodiscard]] int into_fd() noexcept { return std::exchange(fd_, -1); }

  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }

  /// Closes the file and says what the file system has to say; most have nothing. It is no
  /// sync_all().
  /// Returns  success.
  /// Errors   io_error, no_space_on_device, ... of writes that a network file system had put off;
  ///          bad_file_descriptor. The descriptor is gone all the same.
  /// Blocks   this thread, while a network file system sends what it has put off: sync_all() first
  ///          makes only the fiber wait.
  /// Threads  any.
  /// Cancel   does not refuse it.
  RAMIE_API Result<void> close() noexcept;

  // --- at the file's position

  /// Reads at most `buffer.size()` bytes at the file's position and moves it behind them.
  /// Returns  bytes read; fewer than asked for near the end or as the kernel has it; 0 only at the
  ///          end, or if `buffer` is empty.
  /// Errors   io_error, is_a_directory, bad_file_descriptor (not open for reading),
  ///          invalid_argument (direct() and a buffer that is not aligned); canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again if no thread could be had. On any error
  ///          no byte was consumed.
  /// Blocks   this fiber, also while others read or write at the position; outside a fiber, this
  ///          thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<std::size_t> read(std::span<std::byte> buffer);
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> read(T&& buffer) {
    return read(ramie::detail::bytes_out(buffer));
  }
  /// Reads into several buffers, in order; as read(). One call fills 64 of them at most.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_vectored(
      std::span<const std::span<std::byte>> buffers);
  template <ramie::detail::TextRooms T>
  [[nodiscard]] Result<std::size_t> read_vectored(const T& buffers) {
    return read_vectored(ramie::detail::parts_out(buffers).get());
  }
  /// Fills `buffer` whole. Nobody else's read or write comes in between.
  /// Returns  success.
  /// Errors   no_message_available (ENODATA) if the file ends before: a file is no connection, so
  ///          it is not the connection_aborted of TcpStream; else as read(). The position is
  ///          behind what was read.
  /// Blocks   as read().
  /// Threads  any, several at a time.
  /// Cancel   not safe: the bytes read so far are in `buffer`, uncounted.
  [[nodiscard]] RAMIE_API Result<void> read_exact(std::span<std::byte> buffer);
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact(T&& buffer) {
    return read_exact(ramie::detail::bytes_out(buffer));
  }
  /// Appends what is left of the file to `buffer`.
  /// Returns  bytes read.
  /// Errors   not_enough_memory; else as read(). What was read before is in `buffer`.
  /// Blocks   as read().
  /// Threads  any, several at a time.
  /// Cancel   safe: what was read is in `buffer`, and the position behind it.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_to_end(std::vector<std::byte>& buffer);
  /// The same for text; bytes are taken as they are.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_to_string(std::string& text);

  /// Writes at most `data.size()` bytes at the file's position and moves it behind them; after
  /// append(true), at the file's end, where the position then is.
  /// Returns  bytes written, which may be fewer than given; 0 if `data` is empty.
  /// Errors   no_space_on_device, file_too_large, io_error, bad_file_descriptor (not open for
  ///          writing), invalid_argument (direct() and a buffer that is not aligned); canceled,
  ///          timed_out, shutting_down; resource_unavailable_try_again. On any error nothing was
  ///          written. Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, whose default is the end of
  ///          the program; file_too_large is for those who ignore it. broken_pipe if nobody reads a
  ///          pipe or socket any more; no SIGPIPE comes.
  /// Blocks   as read(). Data is on the disk after sync_data() only.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<std::size_t> write(std::span<const std::byte> data);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<std::size_t> write(T&& text) {
    return write(ramie::detail::bytes_in(text));
  }
  [[nodiscard]] RAMIE_API Result<std::size_t> write_vectored(
      std::span<const std::span<const std::byte>> data);
  template <ramie::detail::TextParts T>
  [[nodiscard]] Result<std::size_t> write_vectored(const T& data) {
    return write_vectored(ramie::detail::parts_in(data).get());
  }
  /// Writes all of `data`. Nobody else's read or write through this File comes in between.
  /// Returns  success.
  /// Errors   io_error if a write moves nothing; else as write(); a part may have been written.
  /// Blocks   as read().
  /// Threads  any, several at a time.
  /// Cancel   not safe: how much was written is lost; position() tells.
  [[nodiscard]] RAMIE_API Result<void> write_all(std::span<const std::byte> data);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all(T&& text) {
    return write_all(ramie::detail::bytes_in(text));
  }

  /// Moves the position: to `offset`, or by `offset` from where it is or from the file's end. It
  /// may lie behind the end; a write there leaves a hole.
  /// Returns  the new position, from the start.
  /// Errors   invalid_argument (before the start); bad_file_descriptor, invalid_seek (a pipe);
  ///          canceled, timed_out, shutting_down. On any error it did not move.
  /// Blocks   as read().
  /// Threads  any, several at a time.
  /// Cancel   safe.
  RAMIE_API Result<std::uint64_t> seek(std::int64_t offset, Whence from = Whence::start);
  /// Where the next read or write begins; as seek(0, Whence::current).
  [[nodiscard]] RAMIE_API Result<std::uint64_t> position() const;

  // --- anywhere

  /// Reads at most `buffer.size()` bytes at `offset`; the file's position stays.
  /// Returns  as read().
  /// Errors   as read().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_at(std::span<std::byte> buffer,
                                                      std::uint64_t offset) const;
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> read_at(T&& buffer, std::uint64_t offset) const {
    return read_at(ramie::detail::bytes_out(buffer), offset);
  }
  [[nodiscard]] RAMIE_API Result<std::size_t> read_vectored_at(
      std::span<const std::span<std::byte>> buffers, std::uint64_t offset) const;
  template <ramie::detail::TextRooms T>
  [[nodiscard]] Result<std::size_t> read_vectored_at(const T& buffers, std::uint64_t offset) const {
    return read_vectored_at(ramie::detail::parts_out(buffers).get(), offset);
  }
  /// Fills `buffer` whole with what stands at `offset`; as read_exact().
  [[nodiscard]] RAMIE_API Result<void> read_exact_at(std::span<std::byte> buffer,
                                                     std::uint64_t offset) const;
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact_at(T&& buffer, std::uint64_t offset) const {
    return read_exact_at(ramie::detail::bytes_out(buffer), offset);
  }
  /// Writes at `offset`; the file's position stays. After append(true) Linux writes at the end all
  /// the same.
  /// Returns  as write().
  /// Errors   as write().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<std::size_t> write_at(std::span<const std::byte> data,
                                                       std::uint64_t offset);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<std::size_t> write_at(T&& text, std::uint64_t offset) {
    return write_at(ramie::detail::bytes_in(text), offset);
  }
  [[nodiscard]] RAMIE_API Result<std::size_t> write_vectored_at(
      std::span<const std::span<const std::byte>> data, std::uint64_t offset);
  template <ramie::detail::TextParts T>
  [[nodiscard]] Result<std::size_t> write_vectored_at(const T& data, std::uint64_t offset) {
    return write_vectored_at(ramie::detail::parts_in(data).get(), offset);
  }
  /// Writes all of `data` at `offset`; as write_all().
  [[nodiscard]] RAMIE_API Result<void> write_all_at(std::span<const std::byte> data,
                                                    std::uint64_t offset);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all_at(T&& text, std::uint64_t offset) {
    return write_all_at(ramie::detail::bytes_in(text), offset);
  }

  // --- the file itself

  /// Waits until the content and the metadata are on the disk (fsync).
  /// Returns  success.
  /// Errors   io_error, no_space_on_device: some earlier write is lost, and a second sync may not
  ///          say so again; invalid_argument (cannot be synchronised); canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> sync_all();
  /// The same for the content and what is needed to find it (fdatasync).
  [[nodiscard]] RAMIE_API Result<void> sync_data();

  /// Cuts the file off at `size`, or extends it with a hole. The position stays.
  /// Returns  success.
  /// Errors   invalid_argument (also if the file is not open for writing), file_too_large,
  ///          io_error; canceled, timed_out, shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> set_len(std::uint64_t size);
  /// Takes room on the disk for `size` bytes from `offset`, so that writes there do not fail for
  /// want of it; extends the file if it ends before.
  /// Returns  success.
  /// Errors   no_space_on_device, operation_not_supported (by the file system, or a sandbox),
  ///          operation_not_permitted (the file's attributes, or a sandbox), invalid_argument (no
  ///          bytes); else as set_len().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> allocate(std::uint64_t offset, std::uint64_t size);

  /// Looks at the file.
  /// Returns  what the file system says.
  /// Errors   io_error, not_enough_memory; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<Metadata> metadata() const;
  /// Sets the permission bits (fchmod); the umask has no say.
  /// Returns  success.
  /// Errors   operation_not_permitted, read_only_file_system, io_error; canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, several at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> set_permissions(std::uint32_t mode);
  /// Sets when the file was read and written last; as set_permissions().
  [[nodiscard]] RAMIE_API Result<void> set_times(const FileTimes& times);

  // --- locks

  /// Waits until no other File holds a lock on the file, then takes it for this one alone (flock):
  /// advice between those who ask, in this process and in others. It belongs to what open() opened:
  /// not to the fiber, and a copy of the descriptor shares it. Closing gives it back. Who holds
  /// the shared lock gives that up first, even if the other one is then not had.
  ///
  /// The kernel tells nobody when a lock is given back, so a fiber asks again: after 1 ms, then
  /// later and later, every 50 ms at last. There is no line: a waiter may be overtaken for ever.
  /// Returns  success.
  /// Errors   no_lock_available, not_supported; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again. On any error the lock was not taken.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> lock();
  /// The same for a lock that others may share.
  [[nodiscard]] RAMIE_API Result<void> lock_shared();
  /// Takes the lock if that is possible now.
  /// Returns  whether this File holds it.
  /// Errors   as lock().
  /// Blocks   this fiber for one call; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<bool> try_lock();
  [[nodiscard]] RAMIE_API Result<bool> try_lock_shared();
  /// Gives the lock back; success if there was none.
  /// Returns  success.
  /// Errors   bad_file_descriptor, io_error (a network file system).
  /// Blocks   never, but for a network file system, which answers first.
  /// Threads  any.
  /// Cancel   does not refuse it.
  RAMIE_API Result<void> unlock() noexcept;

 private:
  friend class OpenOptions;
  // What there is no use in trying at once, without waiting, as bits.
  using Ways = std::uint8_t;
  File(int fd, Ways slow) noexcept : fd_(fd), slow_(slow) {}

  static constexpr Ways kShared = 4;        // the position may be others', too
  static constexpr Ways kOtherEnd = 8;      // it may wait for somebody else: a pipe, a terminal
  static constexpr Ways kUnsure = 16;       // a device: if epoll takes it
  static constexpr Ways kNonblocking = 32;  // and the description is ours

  static Ways slow_ways(int flags) noexcept;
  static Ways ways_of(unsigned kind) noexcept;
  bool has(Ways ways) const noexcept { return (slow_.load(std::memory_order_relaxed) & ways) != 0; }
  bool waits_for_somebody() const;
  sync::Mutex& turns_of(Ways way) const noexcept;
  bool is_shared() const noexcept { return has(kShared); }

  Result<std::size_t> here(const Vector& vector) const;
  Result<std::size_t> at(const Vector& vector, std::uint64_t offset) const;
  Result<void> all_at(Ways way, std::span<const std::byte> bytes, std::uint64_t offset) const;
  Result<std::size_t> transfer(const Vector& vector, std::int64_t offset) const;
  Result<void> transfer_all(Ways way, std::span<const std::byte> bytes, std::int64_t offset) const;
  std::optional<std::int64_t> at_once(const Vector& vector, std::int64_t offset) const;
  template <class Container>
  Result<std::size_t> append_rest(Container& content) const;
  Result<void> wait_for_lock(int operation);
  Result<bool> try_for_lock(int operation);

  int fd_ = -1;
  mutable detail::Atomic<Ways> slow_{0};
  mutable sync::Mutex position_;  // held by who uses the file's position
  mutable sync::Mutex writing_;   // what has another end has no position: a writer's turn
};

/// How a file is opened. At least one of read, write and append is needed; what makes or empties a
/// file needs write or append. Descriptors are never left to child processes.
class OpenOptions {
 public:
  OpenOptions& read(bool on = true) noexcept { return read_ = on, *this; }
  OpenOptions& write(bool on = true) noexcept { return write_ = on, *this; }
  /// Every write goes to the file's end, in one step with finding it.
  OpenOptions& append(bool on = true) noexcept { return append_ = on, *this; }
  /// Empties the file; not with append.
  OpenOptions& truncate(bool on = true) noexcept { return truncate_ = on, *this; }
  /// Makes the file if it is not there.
  OpenOptions& create(bool on = true) noexcept { return create_ = on, *this; }
  /// Makes the file; file_exists if something is there, be it a symbolic link. create() and
  /// truncate() then mean nothing.
  OpenOptions& create_new(bool on = true) noexcept { return create_new_ = on, *this; }
  /// The permission bits of a file that is made, less the umask; 0666 unless set.
  OpenOptions& mode(std::uint32_t mode) noexcept { return mode_ = mode, *this; }
  /// Past the page cache (O_DIRECT): addresses, lengths and offsets must be aligned, to 4096 if
  /// nothing better is known.
  OpenOptions& direct(bool on = true) noexcept { return direct_ = on, *this; }
  /// Every write waits for the disk as sync_all() does.
  OpenOptions& sync(bool on = true) noexcept { return sync_ = on, *this; }
  /// Every write waits for the disk as sync_data() does.
  OpenOptions& dsync(bool on = true) noexcept { return dsync_ = on, *this; }
  /// too_many_symbolic_link_levels if the last part of the path is a symbolic link.
  OpenOptions& no_follow(bool on = true) noexcept { return no_follow_ = on, *this; }
  /// More O_* flags for open(2); those of access (O_RDONLY, O_WRONLY, O_RDWR) are ignored.
  OpenOptions& custom_flags(int flags) noexcept { return custom_ = flags, *this; }

  /// Opens `path`.
  /// Returns  the file.
  /// Errors   no_such_file_or_directory, file_exists, permission_denied, is_a_directory (for
  ///          writing), not_a_directory, too_many_files_open, filename_too_long, ...;
  ///          invalid_argument (options that contradict each other, a NUL in the path, no O_DIRECT
  ///          here), not_enough_memory; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again if no thread could be had.
  /// Blocks   this fiber; outside a fiber, this thread. The other end of a FIFO is waited for, as
  ///          open(2) does, unless O_NONBLOCK is given. The kernel tells nobody when it comes: a
  ///          fiber asks again after 1 ms, then later and later, every 50 ms at last. What a fiber
  ///          opens of pipes and terminals is non-blocking.
  /// Threads  any.
  /// Cancel   safe: no descriptor is lost; a file may have been made.
  [[nodiscard]] RAMIE_API Result<File> open(PathRef path) const;

 private:
  Result<int> flags() const noexcept;

  bool read_ = false;
  bool write_ = false;
  bool append_ = false;
  bool truncate_ = false;
  bool create_ = false;
  bool create_new_ = false;
  bool direct_ = false;
  bool sync_ = false;
  bool dsync_ = false;
  bool no_follow_ = false;
  int custom_ = 0;
  std::uint32_t mode_ = 0666;
};

// --- whole files

/// Reads a whole file. One that grows or shrinks meanwhile is read as far as it goes; so are those
/// of /proc, which have no size.
/// Returns  its bytes.
/// Errors   as OpenOptions::open() and File::read(); not_enough_memory.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<std::vector<std::byte>> read(PathRef path);
/// The same for text; bytes are taken as they are.
[[nodiscard]] RAMIE_API Result<std::string> read_to_string(PathRef path);

/// Makes a file that holds `data`, or puts `data` in the place of what a file holds. Readers may
/// see it half written: to swap a file's content in one step, write another and rename it.
/// Returns  success.
/// Errors   as OpenOptions::open() and File::write_all(); a part may have been written.
/// Blocks   this fiber; outside a fiber, this thread. Nothing is synchronised.
/// Threads  any.
/// Cancel   not safe: the file may be empty or hold a part; may be retried.
[[nodiscard]] RAMIE_API Result<void> write(PathRef path, std::span<const std::byte> data);
[[nodiscard]] RAMIE_API Result<void> write(PathRef path, std::string_view text);
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<void> write(PathRef path, T&& text) {
  return write(path, ramie::detail::bytes_in(text));
}
/// Writes `data` at the end of a file, which is made if it is not there.
/// Returns  success.
/// Errors   as write(); a part may have been written.
/// Blocks   as write().
/// Threads  any.
/// Cancel   not safe: a part may have been written.
[[nodiscard]] RAMIE_API Result<void> append(PathRef path, std::span<const std::byte> data);
[[nodiscard]] RAMIE_API Result<void> append(PathRef path, std::string_view text);
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<void> append(PathRef path, T&& text) {
  return append(path, ramie::detail::bytes_in(text));
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
