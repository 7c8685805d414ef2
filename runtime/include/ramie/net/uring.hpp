// What io_uring adds to sockets: accepting many connections, and sending without a copy.
#pragma once

#include <ramie/detail/bytes.hpp>
#include <ramie/net/tcp.hpp>
#include <ramie/result.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace ramie::inline v0::net {

/// Accepts connections by one request that stays in the kernel (IORING_OP_ACCEPT, multishot), so
/// that a storm of connections needs no system call for each. Where the kernel cannot do that,
/// next() is TcpListener::accept(). An Acceptor belongs to one fiber and must end before its
/// listener. While it exists, no other fiber may accept from that listener.
class Acceptor {
 public:
  /// Throws std::bad_alloc.
  RAMIE_API explicit Acceptor(TcpListener& listener);
  /// Closes connections that arrived and were not taken. Waits until the kernel has let go.
  RAMIE_API ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Waits for the next connection.
  /// Returns  the connection. Its address is peer_addr().
  /// Errors   as TcpListener::accept().
  /// Blocks   this fiber.
  /// Threads  the fiber that made it.
  /// Cancel   safe: the next call returns connections that arrived meanwhile.
  [[nodiscard]] RAMIE_API Result<TcpStream> next() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Below this number of bytes a copy is cheaper than pinning the memory and waiting for its
/// release.
inline constexpr std::size_t kZeroCopyThreshold = std::size_t{64} << 10U;

/// Sends from the caller's memory without a copy into the kernel (IORING_OP_SEND_ZC). Waits until
/// the kernel no longer needs the memory, which is when the peer has acknowledged the data. Use it
/// for large buffers through a real network card. On the loopback device the kernel copies anyway,
/// and this is slower than write(). With fewer than kZeroCopyThreshold bytes, and where the kernel
/// or the socket does not support it, this is write().
/// Returns  bytes taken, 1..data.size(). 0 only if `data` is empty.
/// Errors   as TcpStream::write().
/// Blocks   this fiber, until the peer has read the data or its kernel has buffered it.
/// Threads  counts as the stream's writer. The stream must stay open until it returns.
/// Cancel   returns the bytes that the kernel had taken by then; if there were none, nothing was
///          sent. If the peer does not acknowledge them at once, the connection is reset, because
///          the memory must go back to the caller.
[[nodiscard]] RAMIE_API Result<std::size_t> send_zero_copy(
    TcpStream& stream, std::span<const std::byte> data) noexcept;
template <ramie::detail::CharsIn T>
[[nodiscard]] Result<std::size_t> send_zero_copy(TcpStream& stream, T&& text) noexcept {
  return send_zero_copy(stream, ramie::detail::bytes_in(text));
}

}  // namespace ramie::inline v0::net
