// See transfer.hpp.
//
// io_uring is never asked to use the file's own position (an offset of -1). It would read and set
// the position without the kernel's lock. It would not set it at all when the transfer completes
// later (O_DIRECT, some FUSE; measured on 6.18), so the next read would get the same bytes. Instead
// we read the position, pass it and set it, under the lock of the File. Others may share a
// descriptor that we did not open, and do not take our lock. There the kernel moves the position,
// in a job of the pool.
#include "runtime/fs/transfer.hpp"

#include "uring/opcodes.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

namespace ramie::inline v0::fs {

namespace {

Count transfer_at(Calls& calls, uring::Opcode opcode, int fd, const Vector& vector,
                  std::int64_t offset) {
  const std::span<const iovec> parts = vector.parts();
  return calls.perform(
      opcode,
      [&](uring::Entry& entry) {
        const bool is_one = parts.size() == 1;
        entry.fd = fd;
        entry.offset = static_cast<std::uint64_t>(offset);
        entry.address = uring::address_of(is_one ? parts.front().iov_base : parts.data());
        entry.length = static_cast<std::uint32_t>(is_one ? parts.front().iov_len : parts.size());
      },
      [&] {
        return vector.way() == Way::read ? sys::read(fd, parts, offset, 0)
                                         : sys::write(fd, parts, offset, 0);
      });
}

// With O_APPEND the position is the end of the file, because the kernel does not return where the
// write went. On -errno the position is unchanged.
Count set_position(int fd, Way way, std::int64_t position) noexcept {
  const Count flags = way == Way::write ? sys::flags(fd) : 0;
  if (flags < 0) return flags;
  const bool appends = (flags & O_APPEND) != 0;
  return sys::seek(fd, appends ? 0 : position, appends ? SEEK_END : SEEK_SET);
}

}  // namespace

Count transfer(Calls& calls, int fd, const Vector& vector, std::int64_t offset) {
  const bool is_one = vector.parts().size() == 1;
  const uring::Opcode opcode = vector.way() == Way::read
                                   ? (is_one ? uring::kRead : uring::kReadv)
                                   : (is_one ? uring::kWrite : uring::kWritev);
  if (offset != sys::kHere || !calls.uses_ring(opcode))
    return transfer_at(calls, opcode, fd, vector, offset);
  const Count position = sys::seek(fd, 0, SEEK_CUR);
  if (position == -ESPIPE) {
    calls.expect_to_wait();
    return transfer_at(calls, opcode, fd, vector, sys::kHere);
  }
  if (position < 0) return position;
  if (calls.is_position_shared())
    return calls.perform([&] {
      return vector.way() == Way::read ? sys::read(fd, vector.parts(), sys::kHere, 0)
                                       : sys::write(fd, vector.parts(), sys::kHere, 0);
    });
  const Count n = transfer_at(calls, opcode, fd, vector, position);
  if (n <= 0) return n;
  const Count set = set_position(fd, vector.way(), position + n);
  return set < 0 ? set : n;
}

Count transfer_some(Calls& calls, int fd, const Vector& vector, std::int64_t offset) {
  if (vector.total() <= kChunk) return transfer(calls, fd, vector, offset);
  std::size_t done = 0;
  while (done < vector.total()) {
    const Vector piece(vector, done, kChunk);
    const auto ahead = static_cast<std::int64_t>(done);
    const Count n = transfer(calls, fd, piece, offset == sys::kHere ? offset : offset + ahead);
    if (n < 0 && done == 0) return n;
    if (n > 0) done += static_cast<std::size_t>(n);
    if (n < static_cast<Count>(piece.total())) break;
  }
  return static_cast<Count>(done);
}

Count read_at_once(const Calls& calls, int fd, const Vector& vector) noexcept {
  if (!calls.is_in_fiber() || vector.total() > kAtOnce) return -EAGAIN;
  return sys::read(fd, vector.parts(), sys::kHere, RWF_NOWAIT);
}

Result<void> transfer_all(Calls& calls, int fd, Way way, std::span<const std::byte> bytes,
                          std::int64_t offset) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kChunk);
    const Count n = transfer(calls, fd, Vector(way, bytes.data(), size), offset);
    if (n < 0) return failure(calls.code(n));
    if (n == 0) return failure(std::make_error_code(nothing_moved(way)));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    if (offset != sys::kHere) offset += n;
  }
  return {};
}

}  // namespace ramie::inline v0::fs
