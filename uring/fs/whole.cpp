// Whole files by their path: open, move, close, each as one sequence, so that without a ring it is
// one job of the pool.
#include "uring/fs/open.hpp"
#include "uring/fs/path.hpp"
#include "uring/fs/stat.hpp"
#include "uring/fs/transfer.hpp"
#include "uring/opcodes.hpp"
#include "uring/sys/file.hpp"

#include <ramie/fs/file.hpp>

#include <fcntl.h>

namespace ramie {
inline namespace v0 {
namespace fs {

namespace {

// A path that the kernel has in its cache needs no operation of the ring. O_NONBLOCK: it must not
// wait here, for the other end of a pipe or for a lease. (An open in the ring does the same.)
Result<io::sys::UniqueFd> open_to_read(Calls& calls, const char* path) {
  if (calls.uses_ring(uring::kRead)) {
    io::sys::UniqueFd fd(
        static_cast<int>(sys::open_known(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
    if (fd.is_open()) {
      const Count rc = sys::set_flags(fd.get(), 0);
      if (rc < 0) return failure(calls.code(rc));
      return fd;
    }
  }
  return open(calls, path, O_RDONLY);
}

// To give much memory back takes long, too: no fiber waits for it.
template <class Container>
void throw_away(Container&& content) {
  if (content.size() >= kLargeCopy)
    spawn_blocking([garbage = std::forward<Container>(content)] {}).detach();
}

// What the file system says of its size is only a hint: it may be none, or no longer true.
template <class Container>
Result<Container> read_whole(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  return run([&](Calls& calls) -> Result<Container> {
    const auto fd = open_to_read(calls, text.c_str());
    if (!fd) return failure(fd.error());
    const auto expected = likely_size(calls, fd->get());
    if (!expected) return failure(expected.error());
    Container content;
    const auto size = append_rest(calls, fd->get(), content, *expected, Cache::may_have_it);
    if (size) return content;
    if (calls.is_in_fiber()) throw_away(std::move(content));
    return failure(size.error());
  });
}

// The close is no call of the sequence: a cancel must not leave the descriptor behind.
Result<void> write_whole(PathRef path, int flags, std::span<const std::byte> bytes) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  if (auto entered = detail::enter_wait(); !entered) return entered;
  return run([&](Calls& calls) -> Result<void> {
    auto fd = open(calls, text.c_str(), O_WRONLY | O_CREAT | flags, 0666);
    if (!fd) return failure(fd.error());
    auto written = transfer_all(calls, fd->get(), Way::write, bytes, sys::kHere);
    if (!written) return written;
    const Count closed = sys::close(fd->release());
    if (closed < 0) return failure(calls.code(closed));
    return {};
  });
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

}  // namespace fs
}  // namespace v0
}  // namespace ramie
