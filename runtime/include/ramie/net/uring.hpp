// What io_uring can do for sockets: accept a storm of connections, and send without a copy.
#pragma once

#include <ramie/detail/bytes.hpp>
#include <ramie/net/tcp.hpp>
#include <ramie/result.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace ramie {
inline namespace v0 {
namespace net {

/// Accepts by one request that stays in the kernel (IORING_OP_ACCEPT, multishot): a storm of
/// connections needs no system call for each. Where the kernel cannot do that, next() is
/// TcpListener::accept(). It lives in one fiber, shorter than its listener; while it does, nobody
/// else accepts there.
class Acceptor {
 public:
  /// Throws std::bad_alloc.
  RAMIE_API explicit Acceptor(TcpListener& listener);
  /// Closes connections that came and were not taken. Waits until the kernel has let go.
  RAMIE_API ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Waits for the next connection.
  /// Returns  the connection; it knows its peer (peer_addr()).
  /// Errors   as TcpListener::accept().
  /// Blocks   this fiber.
  /// Threads  the fiber that made it.
  /// Cancel   safe: connections that come meanwhile are there at the next call.
  [[nodiscard]] RAMIE_API Result<TcpStream> next() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Below so many bytes a copy is cheaper than to pin the memory and to hear that it is free again.
inline constexpr std::size_t kZeroCopyThreshold = std::size_t{64} << 10U;

/// Sends from the caller's memory without copying it into the kernel (IORING_OP_SEND_ZC), and waits
/// until the kernel needs it no longer: until the peer has acknowledged it. For large buffers
/// through a real network card; on the loopback the kernel copies all the same, and it is slower
/// than write(). With fewer than kZeroCopyThreshold bytes, and where the kernel or the socket
/// cannot do it, this is write().
/// Returns  bytes taken, 1..data.size(); 0 only if `data` is empty.
/// Errors   as TcpStream::write().
/// Blocks   this fiber, until the peer has read, or its kernel has buffered, what was sent.
/// Threads  counts as the stream's writer.
/// Cancel   bytes that were taken by then win; otherwise nothing was sent. If the peer does not
///          acknowledge them at once the connection is reset: the memory is the caller's again.
[[nodiscard]] RAMIE_API Result<std::size_t> send_zero_copy(
    TcpStream& stream, std::span<const std::byte> data) noexcept;
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<std::size_t> send_zero_copy(TcpStream& stream, T&& text) noexcept {
  return send_zero_copy(stream, ramie::detail::bytes_in(text));
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
