// TCP: streams and listeners.
#pragma once

#include <ramie/detail/bytes.hpp>
#include <ramie/net/addr.hpp>
#include <ramie/net/socket.hpp>
#include <ramie/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace net {

/// A connection. Destroying it closes the socket. One fiber may read while another writes.
class TcpStream {
 public:
  /// Not open.
  TcpStream() noexcept = default;
  /// Of a connected stream socket, which may be of any family.
  explicit TcpStream(Socket socket) noexcept : socket_(std::move(socket)) {}

  /// Connects to `peer`.
  /// Returns  the connection.
  /// Errors   connection_refused, network_unreachable, ...; canceled, timed_out, shutting_down,
  ///          no_runtime.
  /// Blocks   this fiber.
  /// Threads  fibers.
  /// Cancel   the attempt is given up, its descriptor closed.
  [[nodiscard]] static Result<TcpStream> connect(const SocketAddr& peer) noexcept {
    return of(Socket::connect(peer));
  }
  /// Connects to "host:port", trying its addresses in turn; the error is that of the last.
  [[nodiscard]] RAMIE_API static Result<TcpStream> connect(std::string_view host_and_port);
  /// Takes over a connected, non-blocking socket.
  /// Returns  the stream, which owns `fd`.
  /// Errors   invalid_argument if `fd` would block; those of Registration::create. `fd` is closed
  ///          on errors.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] static Result<TcpStream> from_fd(int fd) noexcept {
    return of(Socket::from_fd(fd));
  }

  /// Waits until the peer has sent something, then reads at least one byte into `buffer`.
  /// Returns  bytes read, 1..buffer.size(); 0 only if the peer closed its sending side, we shut our
  ///          receiving one, or `buffer` is empty.
  /// Errors   connection_reset; timed_out, canceled, shutting_down; already_waiting. On any error
  ///          no byte was consumed.
  /// Blocks   this fiber; its worker thread runs others meanwhile.
  /// Threads  one reader and one writer at a time; a second one gets `already_waiting`.
  /// Cancel   safe: may be retried.
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> buffer) noexcept {
    return socket_.receive(buffer);
  }
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> read(T&& buffer) noexcept {
    return read(ramie::detail::bytes_out(buffer));
  }
  /// Reads into several buffers, in order; as read().
  [[nodiscard]] Result<std::size_t> read_vectored(
      std::span<const std::span<std::byte>> buffers) noexcept {
    return socket_.receive_vectored(buffers);
  }
  template <ramie::detail::TextRooms T>
  [[nodiscard]] Result<std::size_t> read_vectored(const T& buffers) noexcept {
    return read_vectored(ramie::detail::parts_out(buffers).get());
  }
  /// Fills `buffer` whole.
  /// Returns  success; `connection_aborted` if the peer closed before.
  /// Errors   as read(); some bytes may have been consumed.
  /// Blocks   this fiber.
  /// Threads  as read().
  /// Cancel   not safe: the bytes read so far are in `buffer`, uncounted.
  [[nodiscard]] RAMIE_API Result<void> read_exact(std::span<std::byte> buffer) noexcept;
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact(T&& buffer) noexcept {
    return read_exact(ramie::detail::bytes_out(buffer));
  }
  /// Copies what has arrived without consuming it; waits as read() does.
  [[nodiscard]] Result<std::size_t> peek(std::span<std::byte> buffer) noexcept {
    return socket_.peek(buffer);
  }
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> peek(T&& buffer) noexcept {
    return peek(ramie::detail::bytes_out(buffer));
  }

  /// Waits until the kernel takes at least one byte of `data`.
  /// Returns  bytes taken, 1..data.size(); 0 only if `data` is empty.
  /// Errors   broken_pipe, connection_reset; timed_out, canceled, shutting_down; already_waiting.
  /// Blocks   this fiber while the send buffer is full.
  /// Threads  one writer at a time.
  /// Cancel   safe: on an error nothing was taken.
  [[nodiscard]] Result<std::size_t> write(std::span<const std::byte> data) noexcept {
    return socket_.send(data);
  }
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<std::size_t> write(T&& text) noexcept {
    return write(ramie::detail::bytes_in(text));
  }
  [[nodiscard]] Result<std::size_t> write_vectored(
      std::span<const std::span<const std::byte>> data) noexcept {
    return socket_.send_vectored(data);
  }
  template <ramie::detail::TextParts T>
  [[nodiscard]] Result<std::size_t> write_vectored(const T& data) noexcept {
    return write_vectored(ramie::detail::parts_in(data).get());
  }
  /// Sends all of `data`.
  /// Returns  success.
  /// Errors   as write(); a part may have been sent.
  /// Blocks   this fiber.
  /// Threads  one writer at a time.
  /// Cancel   not safe: how much was sent is lost.
  [[nodiscard]] RAMIE_API Result<void> write_all(std::span<const std::byte> data) noexcept;
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all(T&& text) noexcept {
    return write_all(ramie::detail::bytes_in(text));
  }

  /// Waits until a read would find something (data, end, or an error): for taking a buffer only
  /// then.
  /// Returns  success; a read may all the same have to wait.
  /// Errors   canceled, timed_out, shutting_down, already_waiting.
  /// Blocks   this fiber.
  /// Threads  counts as the reader.
  /// Cancel   safe.
  [[nodiscard]] Result<void> readable() noexcept {
    return socket_.wait_for(io::Interest::readable);
  }
  /// Waits until a write would be taken; as readable().
  [[nodiscard]] Result<void> writable() noexcept {
    return socket_.wait_for(io::Interest::writable);
  }

  /// Ends one or both directions. A connection that is gone already is no error.
  [[nodiscard]] Result<void> shutdown(Shutdown how) noexcept { return socket_.shutdown(how); }

  [[nodiscard]] Result<SocketAddr> local_addr() const noexcept { return socket_.local_addr(); }
  [[nodiscard]] Result<SocketAddr> peer_addr() const noexcept { return socket_.peer_addr(); }
  [[nodiscard]] RAMIE_API Result<void> set_nodelay(bool on) noexcept;
  [[nodiscard]] RAMIE_API Result<bool> nodelay() const noexcept;
  /// How long close() may wait for unsent data, and its worker thread with it; zero resets the
  /// connection; nullopt is the kernel's default.
  /// invalid_argument for what no int holds, here and for the buffers' sizes, and below zero.
  [[nodiscard]] RAMIE_API Result<void> set_linger(
      std::optional<std::chrono::seconds> linger) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_keepalive(bool on) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_send_buffer_size(std::size_t bytes) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_receive_buffer_size(std::size_t bytes) noexcept;
  /// The error that the kernel keeps for the socket, once (SO_ERROR).
  [[nodiscard]] std::error_code take_error() noexcept { return socket_.take_error(); }

  bool is_open() const noexcept { return socket_.is_open(); }
  /// -1 if it is not open.
  int fd() const noexcept { return socket_.fd(); }
  /// Gives the socket back, deregistered, still non-blocking; the caller closes it. Nobody else
  /// may be in a call of the stream.
  [[nodiscard]] int into_fd() noexcept { return socket_.into_fd(); }

 private:
  static Result<TcpStream> of(Result<Socket> socket) noexcept {
    if (!socket) return failure(socket.error());
    return TcpStream(std::move(*socket));
  }

  Socket socket_;
};

struct Accepted {
  TcpStream stream;
  SocketAddr peer;
};

/// How a listener is opened.
struct ListenOptions {
  int backlog = 1024;
  bool reuse_port = false;  // several sockets on one port, the kernel deals
  bool only_ipv6 = false;
};

/// A listening socket.
class TcpListener {
 public:
  /// Not open.
  TcpListener() noexcept = default;

  /// Binds and listens; port 0 takes a free one. ":7000" and "*:7000" are all addresses of this
  /// machine, of IPv6 and IPv4. A host's name ("localhost:7000") is looked up, and the first of its
  /// addresses that can be bound is taken, IPv4's before IPv6's.
  /// Returns  the listener.
  /// Errors   address_in_use, address_not_available, permission_denied, no_runtime; of a text those
  ///          of lookup_host().
  /// Blocks   only to look a name up.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] RAMIE_API static Result<TcpListener> bind(
      const SocketAddr& address, const ListenOptions& options = {}) noexcept;
  [[nodiscard]] RAMIE_API static Result<TcpListener> bind(
      std::string_view address, const ListenOptions& options = {}) noexcept;

  /// Waits for the next connection. Connections that broke before they were accepted are skipped.
  /// When the process has no descriptor left, one pending connection is closed (by a descriptor
  /// kept in reserve), a line is printed once a second, and the listener waits 5 ms to 1 s before
  /// it goes on.
  /// Returns  the connection and its peer.
  /// Errors   canceled, timed_out, shutting_down; errors of the socket itself.
  /// Blocks   this fiber.
  /// Threads  any number of fibers may accept: they take turns, first come, first served. The next
  ///          connection is for the one whose turn it is, even if others would run sooner.
  /// Cancel   safe: no connection is lost.
  [[nodiscard]] Result<Accepted> accept() noexcept {
    auto next = socket_.accept();
    if (!next) return failure(next.error());
    return Accepted{TcpStream(std::move(next->socket)), next->peer};
  }

  [[nodiscard]] Result<SocketAddr> local_addr() const noexcept { return socket_.local_addr(); }
  bool is_open() const noexcept { return socket_.is_open(); }
  /// -1 if it is not open.
  int fd() const noexcept { return socket_.fd(); }

 private:
  explicit TcpListener(Socket socket) noexcept : socket_(std::move(socket)) {}
  static Result<TcpListener> open(const SocketAddr& address, const ListenOptions& options,
                                  bool both_families) noexcept;
  static Result<TcpListener> bind_any(std::uint16_t port, const ListenOptions& options) noexcept;

  Socket socket_;
};

}  // namespace net
}  // namespace v0
}  // namespace ramie
