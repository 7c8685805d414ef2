// fs::copy: the kernel moves the data (copy_file_range) as far as it can. It cannot between some
// file systems, nor out of /proc, whose files report a size of 0. The rest goes through a buffer.
// Both ways use the files' positions, so the second continues where the first stopped. The second
// also finds out whether that was the end.
//
// The destination is opened without truncating it, because only then can the two be compared.
#include "io/sys/fd.hpp"
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/sys/directory.hpp"
#include "runtime/fs/sys/file.hpp"

#include <ramie/fs/names.hpp>

#include <fcntl.h>
#include <sys/uio.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>

namespace ramie::inline v0::fs {

namespace {

using io::sys::UniqueFd;

// The size of the piece between two checks for a cancel follows the time of the last piece. A clone
// of a large file is then one call, and a cancel does not wait long for a slow disk.
constexpr std::size_t kLargestPiece = std::size_t{256} << 20U;
constexpr std::size_t kSmallestPiece = std::size_t{64} << 10U;
constexpr base::Nanos kQuick = std::chrono::milliseconds(2);
constexpr base::Nanos kSlow = std::chrono::milliseconds(10);
constexpr std::size_t kBuffer = std::size_t{128} << 10U;

// The kernel cannot copy in this way. Any other error is the disk's.
bool is_refusal(Count rc) noexcept {
  return rc == -EXDEV || rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EPERM ||
         rc == -EBADF || rc == -ETXTBSY;
}

class Copier {
 public:
  explicit Copier(Calls& calls) noexcept : calls_(calls) {}

  Result<std::uint64_t> run(const char* from, const char* to);

 private:
  Result<Metadata> open_file(UniqueFd& fd, const char* path, int flags, unsigned mode);
  Count move_in_kernel();
  Count move_through_buffer();
  Count write_all(std::byte* data, std::size_t size);

  Calls& calls_;
  UniqueFd from_;
  UniqueFd to_;
  std::uint64_t copied_ = 0;
};

// O_NONBLOCK: a FIFO must not make us wait for its other end. For a regular file it means nothing.
Result<Metadata> Copier::open_file(UniqueFd& fd, const char* path, int flags, unsigned mode) {
  const Count opened = open_at(calls_, AT_FDCWD, path, flags | O_NONBLOCK | O_CLOEXEC, mode);
  if (opened < 0) return failure(calls_.code(opened));
  fd.reset(static_cast<int>(opened));
  auto data = stat(calls_, fd.get(), "", AT_EMPTY_PATH);
  if (!data) return data;
  if (data->is_directory()) return failure(calls_.code(-EISDIR));
  if (!data->is_file()) return failure(calls_.code(-EINVAL));
  return data;
}

Result<std::uint64_t> Copier::run(const char* from, const char* to) {
  const auto source = open_file(from_, from, O_RDONLY, 0);
  if (!source) return failure(source.error());
  const unsigned mode = source->mode & 0777U;
  const auto target = open_file(to_, to, O_WRONLY | O_CREAT, mode);
  if (!target) return failure(target.error());
  if (source->device == target->device && source->inode == target->inode)
    return failure(calls_.code(-EINVAL));
  // Set the mode first, so that `to` never shows what `from` hides. If that fails, nothing is lost.
  Count rc = 0;
  if ((target->mode & 0777U) != mode)
    rc = calls_.perform([&] { return sys::set_mode(to_.get(), mode); });
  if (rc >= 0 && target->size > 0) rc = calls_.perform([&] { return sys::truncate(to_.get(), 0); });
  if (rc < 0) return failure(calls_.code(rc));
  rc = move_in_kernel();
  if (rc >= 0 || is_refusal(rc)) rc = move_through_buffer();
  if (rc < 0) return failure(calls_.code(rc));
  return copied_;
}

Count Copier::move_in_kernel() {
  for (std::size_t piece = kChunk;;) {
    const base::Instant begin = base::now();
    const Count n = calls_.perform([&] { return sys::copy_range(from_.get(), to_.get(), piece); });
    if (n <= 0) return n;
    copied_ += static_cast<std::uint64_t>(n);
    const base::Nanos took = base::now() - begin;
    if (took < kQuick) piece = std::min(piece * 2, kLargestPiece);
    else if (took > kSlow) piece = std::max(piece / 2, kSmallestPiece);
  }
}

Count Copier::move_through_buffer() {
  const auto buffer = std::make_unique<std::byte[]>(kBuffer);
  for (;;) {
    const iovec all{buffer.get(), kBuffer};
    const Count n =
        calls_.perform([&] { return sys::read(from_.get(), std::span(&all, 1), sys::kHere, 0); });
    if (n <= 0) return n;
    if (const Count rc = write_all(buffer.get(), static_cast<std::size_t>(n)); rc < 0) return rc;
    copied_ += static_cast<std::uint64_t>(n);
  }
}

Count Copier::write_all(std::byte* data, std::size_t size) {
  while (size > 0) {
    const iovec rest{data, size};
    const Count n =
        calls_.perform([&] { return sys::write(to_.get(), std::span(&rest, 1), sys::kHere, 0); });
    if (n < 0) return n;
    if (n == 0) return -EIO;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return 0;
}

}  // namespace

Result<std::uint64_t> copy(PathRef from, PathRef to) {
  const KernelPath source(from);
  const KernelPath target(to);
  if (source.error()) return failure(source.error());
  if (target.error()) return failure(target.error());
  return run_blocking(
      [&](Calls& calls) { return Copier(calls).run(source.c_str(), target.c_str()); });
}

}  // namespace ramie::inline v0::fs
