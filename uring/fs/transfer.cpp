// See transfer.hpp.
#include "uring/fs/transfer.hpp"

#include "uring/opcodes.hpp"

namespace ramie {
inline namespace v0 {
namespace fs {

Count transfer(Calls& calls, int fd, const Vector& vector, std::int64_t offset) {
  const std::span<const iovec> parts = vector.parts();
  const bool is_read = vector.way() == Way::read;
  const bool is_one = parts.size() == 1;
  const uring::Opcode one = is_read ? uring::kRead : uring::kWrite;
  const uring::Opcode several = is_read ? uring::kReadv : uring::kWritev;
  return calls.perform(
      is_one ? one : several,
      [&](uring::Entry& entry) {
        entry.fd = fd;
        entry.offset = static_cast<std::uint64_t>(offset);
        entry.address = uring::address_of(is_one ? parts.front().iov_base : parts.data());
        entry.length = static_cast<std::uint32_t>(is_one ? parts.front().iov_len : parts.size());
      },
      [&] { return is_read ? sys::read(fd, parts, offset, 0) : sys::write(fd, parts, offset, 0); });
}

Result<void> transfer_all(Calls& calls, int fd, Way way, std::span<const std::byte> bytes,
                          std::int64_t offset) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kChunk);
    const Count n = transfer(calls, fd, Vector(way, bytes.data(), size), offset);
    if (n < 0) return failure(calls.code(n));
    if (n == 0) {
      const auto why = way == Way::read ? std::errc::no_message_available : std::errc::io_error;
      return failure(std::make_error_code(why));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    if (offset != sys::kHere) offset += n;
  }
  return {};
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
