// Whole files by their path: open, move and close are one sequence, so that without a ring they are
// one job of the pool.
#include "runtime/fs/path.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/stream.hpp"
#include "runtime/fs/sys/stream.hpp"
#include "uring/opcodes.hpp"

#include <ramie/fs/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>

namespace ramie::inline v0::fs {

namespace {

constexpr unsigned kMode = 0666;

// A path that the kernel has in its cache needs no operation of the ring. With O_NONBLOCK the call
// does not wait for the other end of a pipe or for a lease. (An open in the ring does the same.)
Result<Opened> open_to_read(Calls& calls, const char* path) {
  if (calls.uses_ring(uring::kRead)) {
    Opened opened;
    opened.fd.reset(static_cast<int>(sys::open_known(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
    const Count kind = opened.fd.is_open() ? sys::kind(opened.fd.get(), opened.size) : -1;
    if (kind >= 0 && kind != S_IFBLK) {
      opened.kind = static_cast<unsigned>(kind);
      opened.is_nonblocking = opened.has_other_end();
      // Keep it open: its writer may have waited for us, and would find no reader.
      opened.lacks_writer = opened.kind == S_IFIFO;
      if (opened.is_nonblocking) return opened;
      const Count rc = sys::set_flags(opened.fd.get(), 0);
      if (rc < 0) return failure(calls.code(rc));
      return opened;
    }
  }
  auto opened = open(calls, path, O_RDONLY);
  if (!opened || opened->has_other_end()) return opened;
  const auto size = likely_size(calls, opened->fd.get());
  if (!size) return failure(size.error());
  opened->size = *size;
  return opened;
}

// Freeing much memory takes long too, so no fiber waits for it.
template <class Container>
void throw_away(Container&& content) {
  if (content.size() >= kLargeCopy)
    spawn_blocking([garbage = std::forward<Container>(content)] {}).detach();
}

// The size from the file system is only a hint: it may be 0 or out of date.
template <class Container>
Result<void> read_rest(Calls& calls, const Opened& opened, Container& content) {
  const auto size = append_rest(calls, opened.fd.get(), content, opened.size, Cache::may_have_it);
  if (size) return {};
  if (calls.is_in_fiber()) throw_away(std::move(content));
  return failure(size.error());
}

// A file that may have another end is opened in a sequence, and read and written here.
template <class Container>
Result<void> read_stream(Opened open_so_far, const char* path, Container& content) {
  const auto opened = settle(std::move(open_so_far), path, O_RDONLY, 0);
  if (!opened) return failure(opened.error());
  if (!opened->has_other_end())
    return run([&](Calls& calls) { return read_rest(calls, *opened, content); });
  Calls calls(current_place());
  const auto size = append_all(calls, opened->stream(), content);
  if (!size) return failure(size.error());
  return {};
}

Result<void> write_stream(Opened open_so_far, const char* path, int flags,
                          std::span<const std::byte> bytes) {
  const auto opened = settle(std::move(open_so_far), path, flags, kMode);
  if (!opened) return failure(opened.error());
  if (!opened->has_other_end())
    return run([&](Calls& calls) {
      return transfer_all(calls, opened->fd.get(), Way::write, bytes, sys::kHere);
    });
  Calls calls(current_place());
  return move_all(calls, opened->stream(), Way::write, bytes);
}

template <class Container>
Result<Container> read_whole(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  Opened stream;
  Container content;
  auto done = run([&](Calls& calls) -> Result<void> {
    auto opened = open_to_read(calls, text.c_str());
    if (!opened) return failure(opened.error());
    if (!opened->has_other_end()) return read_rest(calls, *opened, content);
    stream = std::move(*opened);
    return {};
  });
  if (done && stream.has_other_end()) done = read_stream(std::move(stream), text.c_str(), content);
  if (!done) return failure(done.error());
  return content;
}

// The close is no call of the sequence, because a cancel must not leave the descriptor open.
Result<void> write_whole(PathRef path, int flags, std::span<const std::byte> bytes) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return entered;
  flags |= O_WRONLY | O_CREAT;
  Opened stream;
  auto done = run([&](Calls& calls) -> Result<void> {
    auto opened = open(calls, text.c_str(), flags, kMode);
    if (!opened) return failure(opened.error());
    if (opened->has_other_end()) {
      stream = std::move(*opened);
      return {};
    }
    auto written = transfer_all(calls, opened->fd.get(), Way::write, bytes, sys::kHere);
    if (!written) return written;
    const Count closed = sys::close(opened->fd.release());
    if (closed < 0) return failure(calls.code(closed));
    return {};
  });
  if (!done || !stream.has_other_end()) return done;
  return write_stream(std::move(stream), text.c_str(), flags, bytes);
}

}  // namespace

Result<std::vector<std::byte>> read(PathRef path) {
  return read_whole<std::vector<std::byte>>(path);
}

Result<std::string> read_to_string(PathRef path) { return read_whole<std::string>(path); }

Result<void> write(PathRef path, std::span<const std::byte> data) {
  return write_whole(path, O_TRUNC, data);
}

Result<void> write(PathRef path, std::string_view text) {
  return write_whole(path, O_TRUNC, std::as_bytes(std::span(text)));
}

Result<void> append(PathRef path, std::span<const std::byte> data) {
  return write_whole(path, O_APPEND, data);
}

Result<void> append(PathRef path, std::string_view text) {
  return write_whole(path, O_APPEND, std::as_bytes(std::span(text)));
}

}  // namespace ramie::inline v0::fs
