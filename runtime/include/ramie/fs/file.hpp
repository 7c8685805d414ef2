// Files: open, read and write, at the file's own position or at any offset.
//
// In a fiber only the fiber waits for the disk. A read takes what the page cache holds at once,
// without a switch. The rest is an operation of the worker's io_uring, or a job of the blocking
// pool where the kernel has no io_uring. Outside of fibers the calls block their thread.
//
// Several fibers and threads of any runtime may use one File at a time. The calls without an offset
// move the file's position. They take turns, so each call continues where the one before it ended.
// A cancel ends the wait for a turn. The File must not be closed, moved from or destroyed while a
// call is under way.
//
// A cancelled fiber is refused before anything is moved. A cancel that comes later ends the call as
// soon as the kernel lets go of the memory. For a disk that is when the current piece is done; a
// piece is at most 1 MiB. Then the call returns what was moved. The next call returns the error.
//
// Pipes, terminals, sockets and the devices that epoll accepts are waited for by readiness. A
// deadline ends such a wait at once, and no thread is blocked. Readers take turns, and so do
// writers; a reader and a writer do not wait for each other.
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

namespace ramie::inline v0::fs {

class Vector;

enum class Whence : std::uint8_t { start, current, end };

/// What set_times() sets. A member without a value leaves its time as it is.
struct FileTimes {
  std::optional<Metadata::Time> accessed = {};
  std::optional<Metadata::Time> modified = {};
};

/// An open file. The destructor closes it and drops the error of close().
///
/// Offsets and sizes above 2^63-1 are invalid_argument. Calls of a File that holds no descriptor
/// (made by default, moved from, closed) return bad_file_descriptor.
class File {
 public:
  File() noexcept = default;
  RAMIE_API File(File&& other) noexcept;
  RAMIE_API File& operator=(File&& other) noexcept;
  RAMIE_API ~File();

  /// Opens a file for reading. OpenOptions has the other ways.
  /// Errors   as OpenOptions::open().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: no descriptor is lost.
  [[nodiscard]] RAMIE_API static Result<File> open(PathRef path);
  /// Opens a file for writing. Makes it if it does not exist, else empties it.
  [[nodiscard]] RAMIE_API static Result<File> create(PathRef path);
  /// Takes over a descriptor. Other processes may share its open file description (standard input
  /// is the shell's too), so O_NONBLOCK stays as it is. For a terminal or a FIFO the kernel has no
  /// read or write that does not wait. There a fiber waits until there is something; only if
  /// another process takes that first does a thread of the blocking pool wait for the next.
  /// Returns  the file, which owns `fd`. It holds none if `fd` is negative.
  [[nodiscard]] RAMIE_API static File from_fd(int fd) noexcept;
  /// Returns the descriptor; the caller closes it.
  [[nodiscard]] int into_fd() noexcept { return std::exchange(fd_, -1); }

  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }

  /// Closes the file and returns the file system's error, which most do not have. It does not sync:
  /// see sync_all().
  /// Errors   io_error, no_space_on_device, ... of writes that a network file system had delayed;
  ///          bad_file_descriptor. The descriptor is closed even then.
  /// Blocks   this thread, while a network file system sends delayed writes. Call sync_all() first
  ///          to make only the fiber wait.
  /// Cancel   a cancelled fiber may still close.
  RAMIE_API Result<void> close() noexcept;

  // --- at the file's position

  /// Reads at most `buffer.size()` bytes at the file's position and advances it.
  /// Returns  bytes read. They may be fewer than requested, near the end or when the kernel returns
  ///          fewer. 0 only at the end, or if `buffer` is empty.
  /// Errors   io_error, is_a_directory, bad_file_descriptor (not open for reading),
  ///          invalid_argument (direct() and a buffer that is not aligned); canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again if no thread could be started. On any
  ///          error no byte was consumed.
  /// Blocks   this fiber, also while others read or write at the position; outside a fiber, this
  ///          thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<std::size_t> read(std::span<std::byte> buffer);
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> read(T&& buffer) {
    return read(ramie::detail::bytes_out(buffer));
  }
  /// Reads into several buffers, in order. One call fills at most 64 of them. Otherwise as read().
  [[nodiscard]] RAMIE_API Result<std::size_t> read_vectored(
      std::span<const std::span<std::byte>> buffers);
  template <ramie::detail::TextRooms T>
  [[nodiscard]] Result<std::size_t> read_vectored(const T& buffers) {
    return read_vectored(ramie::detail::parts_out(buffers).get());
  }
  /// Fills the whole of `buffer`. No other read or write through this File comes in between.
  /// Errors   no_message_available (ENODATA) if the file ends before. (TcpStream::read_exact()
  ///          returns connection_aborted, but a file is no connection.) Else as read(). The
  ///          position is behind what was read.
  /// Blocks   as read().
  /// Threads  any number at a time.
  /// Cancel   not safe: some bytes may be in `buffer`, and their number is lost.
  [[nodiscard]] RAMIE_API Result<void> read_exact(std::span<std::byte> buffer);
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact(T&& buffer) {
    return read_exact(ramie::detail::bytes_out(buffer));
  }
  /// Appends the rest of the file to `buffer`.
  /// Returns  bytes read.
  /// Errors   not_enough_memory; else as read(). What was read before the error is in `buffer`.
  /// Blocks   as read().
  /// Threads  any number at a time.
  /// Cancel   safe: what was read is in `buffer`, and the position is behind it.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_to_end(std::vector<std::byte>& buffer);
  /// The same for text. The bytes are not checked or converted.
  [[nodiscard]] RAMIE_API Result<std::size_t> read_to_string(std::string& text);

  /// Writes at most `data.size()` bytes at the file's position and advances it. After append(true)
  /// it writes at the file's end and moves the position there.
  /// Returns  bytes written, which may be fewer than given. 0 if `data` is empty.
  /// Errors   no_space_on_device, file_too_large, io_error, bad_file_descriptor (not open for
  ///          writing), invalid_argument (direct() and a buffer that is not aligned); broken_pipe,
  ///          without a SIGPIPE, if a pipe or socket has no reader; canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again. On any error nothing was written.
  ///          Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which ends the program by default; a
  ///          program that ignores it gets file_too_large.
  /// Blocks   as read(). The data is on the disk only after sync_data().
  /// Threads  any number at a time.
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
  /// Writes all of `data`. No other read or write through this File comes in between.
  /// Errors   io_error if a write moves nothing; else as write(). A part may have been written.
  /// Blocks   as read().
  /// Threads  any number at a time.
  /// Cancel   not safe: the number of bytes written is lost; position() tells it.
  [[nodiscard]] RAMIE_API Result<void> write_all(std::span<const std::byte> data);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all(T&& text) {
    return write_all(ramie::detail::bytes_in(text));
  }

  /// Moves the position to `offset`, or by `offset` from the current position or the file's end. It
  /// may lie behind the end; a write there leaves a hole.
  /// Returns  the new position, from the start.
  /// Errors   invalid_argument (before the start); bad_file_descriptor, invalid_seek (a pipe);
  ///          canceled, timed_out, shutting_down. On any error the position did not move.
  /// Blocks   as read().
  /// Threads  any number at a time.
  /// Cancel   safe.
  RAMIE_API Result<std::uint64_t> seek(std::int64_t offset, Whence from = Whence::start);
  /// Returns where the next read or write begins. Otherwise as seek(0, Whence::current).
  [[nodiscard]] RAMIE_API Result<std::uint64_t> position() const;

  // --- at any offset

  /// Reads at most `buffer.size()` bytes at `offset` and leaves the file's position as it is.
  /// Otherwise as read().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
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
  /// Fills the whole of `buffer` from `offset`. Otherwise as read_exact().
  [[nodiscard]] RAMIE_API Result<void> read_exact_at(std::span<std::byte> buffer,
                                                     std::uint64_t offset) const;
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact_at(T&& buffer, std::uint64_t offset) const {
    return read_exact_at(ramie::detail::bytes_out(buffer), offset);
  }
  /// Writes at `offset` and leaves the file's position as it is. After append(true) Linux ignores
  /// `offset` and writes at the end. Otherwise as write().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
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
  /// Writes all of `data` at `offset`. Otherwise as write_all().
  [[nodiscard]] RAMIE_API Result<void> write_all_at(std::span<const std::byte> data,
                                                    std::uint64_t offset);
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all_at(T&& text, std::uint64_t offset) {
    return write_all_at(ramie::detail::bytes_in(text), offset);
  }

  // --- the file itself

  /// Waits until the content and the metadata are on the disk (fsync).
  /// Errors   io_error, no_space_on_device: an earlier write is lost, and a second sync may not
  ///          report it again; invalid_argument (cannot be synchronised); canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> sync_all();
  /// The same for the content and the metadata that a reader needs to find it (fdatasync).
  [[nodiscard]] RAMIE_API Result<void> sync_data();

  /// Truncates the file to `size`, or extends it with a hole. The position stays.
  /// Errors   invalid_argument (also if the file is not open for writing), file_too_large,
  ///          io_error; canceled, timed_out, shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> set_len(std::uint64_t size);
  /// Reserves room on the disk for `size` bytes from `offset`, so that writes there do not fail for
  /// lack of space. Extends the file if it ends before.
  /// Errors   no_space_on_device, operation_not_supported (by the file system, or a sandbox),
  ///          operation_not_permitted (the file's attributes, or a sandbox), invalid_argument
  ///          (`size` is 0); else as set_len().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> allocate(std::uint64_t offset, std::uint64_t size);

  /// Reads the file's metadata.
  /// Errors   io_error, not_enough_memory; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<Metadata> metadata() const;
  /// Sets the permission bits (fchmod). The umask has no effect.
  /// Errors   operation_not_permitted, read_only_file_system, io_error; canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number at a time.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> set_permissions(std::uint32_t mode);
  /// Sets the times of the last access and the last modification. Otherwise as set_permissions().
  [[nodiscard]] RAMIE_API Result<void> set_times(const FileTimes& times);

  // --- locks

  /// Waits until no other File holds a lock on the file, then takes the exclusive lock (flock). The
  /// lock is advisory: it binds only those who ask for it, in this process and in others. It
  /// belongs to what open() opened, not to the fiber; a copy of the descriptor shares it. close()
  /// releases it. A File that holds the shared lock loses that first, even if it then does not get
  /// the exclusive one.
  ///
  /// The kernel does not report that a lock was released, so a fiber asks again after 1 ms, then at
  /// growing intervals up to 50 ms. There is no queue: a waiter may be overtaken without limit.
  /// Errors   no_lock_available, not_supported; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again. On any error the lock was not taken.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<void> lock();
  /// The same for the shared lock.
  [[nodiscard]] RAMIE_API Result<void> lock_shared();
  /// Takes the lock if that is possible now.
  /// Returns  whether this File holds the lock.
  /// Errors   as lock().
  /// Blocks   this fiber for one call; outside a fiber, this thread.
  /// Cancel   safe: may be retried.
  [[nodiscard]] RAMIE_API Result<bool> try_lock();
  [[nodiscard]] RAMIE_API Result<bool> try_lock_shared();
  /// Releases the lock. It is no error if there was none.
  /// Errors   bad_file_descriptor, io_error (a network file system).
  /// Blocks   this thread, only while a network file system answers.
  /// Cancel   a cancelled fiber may still unlock.
  RAMIE_API Result<void> unlock() noexcept;

 private:
  friend class OpenOptions;
  // Bits: the ways of transfer that are useless to try without waiting, and what else is known.
  using Ways = std::uint8_t;
  File(int fd, Ways slow) noexcept : fd_(fd), slow_(slow) {}

  static constexpr Ways kShared = 4;        // others may use the position too
  static constexpr Ways kOtherEnd = 8;      // a call may wait for others: a pipe, a terminal
  static constexpr Ways kUnsure = 16;       // a device: kOtherEnd if epoll accepts it
  static constexpr Ways kNonblocking = 32;  // non-blocking, and the description is ours

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
  mutable sync::Mutex position_;  // held by a call that uses the position
  mutable sync::Mutex writing_;   // a writer's turn, for pipes and other files without a position
};

/// How a file is opened. At least one of read, write and append is needed. Whatever makes or
/// empties a file needs write or append. Child processes do not inherit the descriptors.
class OpenOptions {
 public:
  OpenOptions& read(bool on = true) noexcept { return read_ = on, *this; }
  OpenOptions& write(bool on = true) noexcept { return write_ = on, *this; }
  /// Every write goes to the file's end; the kernel finds the end and writes in one step.
  OpenOptions& append(bool on = true) noexcept { return append_ = on, *this; }
  /// Empties the file. Cannot be combined with append.
  OpenOptions& truncate(bool on = true) noexcept { return truncate_ = on, *this; }
  /// Makes the file if it does not exist.
  OpenOptions& create(bool on = true) noexcept { return create_ = on, *this; }
  /// Makes the file, or returns file_exists if the name exists, even as a symbolic link. create()
  /// and truncate() then have no effect.
  OpenOptions& create_new(bool on = true) noexcept { return create_new_ = on, *this; }
  /// The permission bits of a new file, from which the umask is taken off. The default is 0666.
  OpenOptions& mode(std::uint32_t mode) noexcept { return mode_ = mode, *this; }
  /// Bypasses the page cache (O_DIRECT). Addresses, lengths and offsets must be aligned; 4096 is
  /// enough unless the file system asks for more.
  OpenOptions& direct(bool on = true) noexcept { return direct_ = on, *this; }
  /// Every write waits for the disk as sync_all() does.
  OpenOptions& sync(bool on = true) noexcept { return sync_ = on, *this; }
  /// Every write waits for the disk as sync_data() does.
  OpenOptions& dsync(bool on = true) noexcept { return dsync_ = on, *this; }
  /// Returns too_many_symbolic_link_levels if the last part of the path is a symbolic link.
  OpenOptions& no_follow(bool on = true) noexcept { return no_follow_ = on, *this; }
  /// More O_* flags for open(2). The access flags O_RDONLY, O_WRONLY and O_RDWR are ignored.
  OpenOptions& custom_flags(int flags) noexcept { return custom_ = flags, *this; }

  /// Opens `path`.
  /// Errors   no_such_file_or_directory, file_exists, permission_denied, is_a_directory (for
  ///          writing), not_a_directory, too_many_files_open, filename_too_long, ...;
  ///          invalid_argument (options that contradict each other, a NUL in the path, no O_DIRECT
  ///          on this file system), not_enough_memory; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again if no thread could be started.
  /// Blocks   this fiber; outside a fiber, this thread. For a FIFO it waits for the other end, as
  ///          open(2) does, unless O_NONBLOCK is given. The kernel does not report that the other
  ///          end came, so a fiber asks again after 1 ms, then at growing intervals up to 50 ms.
  ///          The pipes and terminals that a fiber opens are non-blocking.
  /// Cancel   safe: no descriptor is lost. A file may have been made.
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

/// Reads a whole file. If it grows or shrinks meanwhile, the call reads up to the end that it
/// finds. Files of /proc, which have no size, are read in the same way.
/// Returns  its bytes.
/// Errors   as OpenOptions::open() and File::read(); not_enough_memory.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<std::vector<std::byte>> read(PathRef path);
/// The same for text. The bytes are not checked or converted.
[[nodiscard]] RAMIE_API Result<std::string> read_to_string(PathRef path);

/// Makes a file that contains `data`, or replaces the content of an existing file. Readers may see
/// it half written: to replace a file's content in one step, write another file and rename it.
/// Errors   as OpenOptions::open() and File::write_all(); a part may have been written.
/// Blocks   this fiber; outside a fiber, this thread. Nothing is synchronised.
/// Cancel   not safe: the file may be empty or hold a part; may be retried.
[[nodiscard]] RAMIE_API Result<void> write(PathRef path, std::span<const std::byte> data);
[[nodiscard]] RAMIE_API Result<void> write(PathRef path, std::string_view text);
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<void> write(PathRef path, T&& text) {
  return write(path, ramie::detail::bytes_in(text));
}
/// Writes `data` at the end of a file, and makes the file if it does not exist.
/// Errors   as write(); a part may have been written.
/// Blocks   as write().
/// Cancel   not safe: a part may have been written.
[[nodiscard]] RAMIE_API Result<void> append(PathRef path, std::span<const std::byte> data);
[[nodiscard]] RAMIE_API Result<void> append(PathRef path, std::string_view text);
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<void> append(PathRef path, T&& text) {
  return append(path, ramie::detail::bytes_in(text));
}

}  // namespace ramie::inline v0::fs
