// Sends without a copy: see send_zero_copy().
#include "runtime/net/sys/socket.hpp"
#include "uring/handle.hpp"
#include "uring/opcodes.hpp"

#include <ramie/cancel.hpp>
#include <ramie/net/uring.hpp>
#include <ramie/time.hpp>

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <chrono>

namespace ramie::inline v0::net {

namespace {

constexpr auto kPause = std::chrono::milliseconds(1);

// The socket or its device does not support it, or there is no memory for it.
bool must_copy(std::int32_t result) noexcept {
  return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOMEM || result == -ENOBUFS ||
         result == -EAGAIN || result == -EINTR || result == -ECANCELED ||
         uring::may_be_denied(result);
}

// Bytes that the kernel took stay in the caller's memory until the peer's kernel has them. A
// cancelled send waits 10 ms for that, then resets the connection: nothing else frees the memory.
void give_up(uring::Site& site, uring::Op& op, int fd) noexcept {
  constexpr int kTries = 10;
  const Shield shield;
  site.cancel(op);
  for (int i = 0; i < kTries && !site.is_done(op); ++i) (void)sleep_for(kPause);
  if (!site.is_done(op)) (void)sys::disconnect(fd);
}

Result<uring::Completion> run(uring::Op& op, int fd) noexcept {
  sched::Wait wait(op.kind, op.object);
  if (auto entered = wait.enter(); !entered) return failure(entered.error());
  if (const int planned = base::inject("uring_op"); planned != 0)
    return uring::Completion{uring::as_heard(planned), 0};
  auto site = uring::Handle::current()->register_op(op);
  if (!site) return failure(errc::unsupported);
  const auto ended = (*site)->await(op, wait);
  if (ended) return uring::Completion{op.result, op.flags};
  give_up(**site, op, fd);
  sched::Wait final(op.kind, op.object, sched::Wait::Shield::yes);
  (void)(*site)->await(op, final);
  if (op.result < 0) return failure(ended.error());
  return uring::Completion{op.result, op.flags};
}

}  // namespace

Result<std::size_t> send_zero_copy(TcpStream& stream, std::span<const std::byte> data) noexcept {
  if (!stream.is_open() || data.size() < kZeroCopyThreshold ||
      !uring::has_opcode(uring::kSendZeroCopy))
    return stream.write(data);
  uring::Op op;
  op.kind = sched::WaitKind::writable;
  op.object = nullptr;
  op.entry.opcode = uring::kSendZeroCopy;
  op.entry.fd = stream.fd();
  op.entry.address = uring::address_of(data.data());
  op.entry.length = static_cast<std::uint32_t>(std::min<std::size_t>(data.size(), 1U << 30U));
  op.entry.operation_flags = MSG_NOSIGNAL;
  const auto sent = run(op, stream.fd());
  if (!sent && sent.error() == errc::unsupported) return stream.write(data);
  if (!sent) return failure(sent.error());
  if (sent->result >= 0) return static_cast<std::size_t>(sent->result);
  if (must_copy(sent->result)) {
    auto written = stream.write(data);
    if (written && uring::may_be_denied(sent->result))
      uring::deny_opcode(uring::kSendZeroCopy, -sent->result);
    return written;
  }
  return failure(io::system_error(sent->result));
}

}  // namespace ramie::inline v0::net
