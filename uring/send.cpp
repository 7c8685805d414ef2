// Sends without a copy: see send_zero_copy().
#include "uring/handle.hpp"
#include "uring/opcodes.hpp"

#include <ramie/uring.hpp>

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>

namespace ramie {
inline namespace v0 {
namespace uring {

namespace {

// The socket or its device cannot do it, or has no memory to spare for it.
bool must_copy(std::int32_t result) noexcept {
  return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOMEM || result == -ENOBUFS ||
         result == -EAGAIN;
}

}  // namespace

Result<std::size_t> send_zero_copy(net::TcpStream& stream,
                                   std::span<const std::byte> data) noexcept {
  if (!stream.is_open() || data.size() < kZeroCopyThreshold || !has_opcode(kSendZeroCopy))
    return stream.write(data);
  Op op;
  op.kind = sched::WaitKind::writable;
  op.object = nullptr;
  op.entry.opcode = kSendZeroCopy;
  op.entry.fd = stream.fd();
  op.entry.address = address_of(data.data());
  op.entry.length = static_cast<std::uint32_t>(std::min<std::size_t>(data.size(), 1U << 30U));
  op.entry.operation_flags = MSG_NOSIGNAL;
  const auto sent = Handle::current()->run(op);
  if (!sent) return failure(sent.error());
  if (sent->result >= 0) return static_cast<std::size_t>(sent->result);
  if (must_copy(sent->result)) return stream.write(data);
  return failure(std::error_code(-sent->result, std::system_category()));
}

}  // namespace uring
}  // namespace v0
}  // namespace ramie
