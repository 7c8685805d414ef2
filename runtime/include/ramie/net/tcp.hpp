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

namespace ramie::inline v0::net {

/// A connection. Destroying it closes the socket. One fiber may read while another writes.
class TcpStream {
 public:
  /// Not open.
  TcpStream() noexcept = default;
  /// Takes a connected stream socket of any family.
  explicit TcpStream(Socket socket) noexcept : socket_(std::move(socket)) {}

  /// Connects to `peer`.
  /// Errors   connection_refused, network_unreachable, ...; canceled, timed_out, shutting_down,
  ///          no_runtime.
  /// Blocks   this fiber.
  /// Threads  fibers only.
  /// Cancel   ends the attempt and closes its descriptor.
  [[nodiscard]] static Result<TcpStream> connect(const SocketAddr& peer) noexcept {
    return of(Socket::connect(peer));
  }
  /// Connects to "host:port". Tries its addresses one after the other; the error is that of the
  /// last.
  [[nodiscard]] RAMIE_API static Result<TcpStream> connect(std::string_view host_and_port);
  /// Takes over a connected, non-blocking socket.
  /// Returns  the stream, which owns `fd`.
  /// Errors   invalid_argument if `fd` is in blocking mode; not_a_socket; those of
  ///          Registration::create(). On an error `fd` is closed.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] static Result<TcpStream> from_fd(int fd) noexcept {
    return of(Socket::from_fd(fd));
  }

  /// Waits until the peer has sent something, then reads at least one byte into `buffer`.
  /// Returns  bytes read, 1..buffer.size(). 0 only if the peer closed its sending side, this side
  ///          shut its receiving one, or `buffer` is empty.
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
  /// Reads into several buffers, in order. Otherwise as read().
  [[nodiscard]] Result<std::size_t> read_vectored(
      std::span<const std::span<std::byte>> buffers) noexcept {
    return socket_.receive_vectored(buffers);
  }
  template <ramie::detail::TextRooms T>
  [[nodiscard]] Result<std::size_t> read_vectored(const T& buffers) noexcept {
    return read_vectored(ramie::detail::parts_out(buffers).get());
  }
  /// Fills the whole of `buffer`.
  /// Errors   `connection_aborted` if the peer closed before; else as read(). Some bytes may have
  ///          been consumed.
  /// Blocks   this fiber.
  /// Threads  as read().
  /// Cancel   not safe: some bytes may be in `buffer`, and their number is lost.
  [[nodiscard]] RAMIE_API Result<void> read_exact(std::span<std::byte> buffer) noexcept;
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<void> read_exact(T&& buffer) noexcept {
    return read_exact(ramie::detail::bytes_out(buffer));
  }
  /// Copies what has arrived and does not consume it. Waits as read() does.
  [[nodiscard]] Result<std::size_t> peek(std::span<std::byte> buffer) noexcept {
    return socket_.peek(buffer);
  }
  template <ramie::detail::CharsOut T>
  [[nodiscard]] Result<std::size_t> peek(T&& buffer) noexcept {
    return peek(ramie::detail::bytes_out(buffer));
  }

  /// Waits until the kernel takes at least one byte of `data`.
  /// Returns  bytes taken, 1..data.size(). 0 only if `data` is empty.
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
  /// Errors   as write(); a part may have been sent.
  /// Blocks   this fiber.
  /// Threads  one writer at a time.
  /// Cancel   not safe: the number of bytes sent is lost.
  [[nodiscard]] RAMIE_API Result<void> write_all(std::span<const std::byte> data) noexcept;
  template <ramie::detail::CharsIn T>
  [[nodiscard]] Result<void> write_all(T&& text) noexcept {
    return write_all(ramie::detail::bytes_in(text));
  }

  /// Waits until a read would find data, the end, or an error. Use it to allocate a buffer only
  /// when there is something to read.
  /// Returns  success. A read may still have to wait.
  /// Errors   canceled, timed_out, shutting_down, already_waiting.
  /// Blocks   this fiber.
  /// Threads  counts as the reader.
  /// Cancel   safe.
  [[nodiscard]] Result<void> readable() noexcept {
    return socket_.wait_for(io::Interest::readable);
  }
  /// Waits until a write would take at least one byte. Otherwise as readable().
  [[nodiscard]] Result<void> writable() noexcept {
    return socket_.wait_for(io::Interest::writable);
  }

  /// Ends one or both directions. It is no error if the connection is gone already.
  [[nodiscard]] Result<void> shutdown(Shutdown how) noexcept { return socket_.shutdown(how); }

  [[nodiscard]] Result<SocketAddr> local_addr() const noexcept { return socket_.local_addr(); }
  [[nodiscard]] Result<SocketAddr> peer_addr() const noexcept { return socket_.peer_addr(); }
  [[nodiscard]] RAMIE_API Result<void> set_nodelay(bool on) noexcept;
  [[nodiscard]] RAMIE_API Result<bool> nodelay() const noexcept;
  /// Sets how long close() waits for unsent data; its worker thread waits with it. Zero resets the
  /// connection on close; nullopt is the kernel's default.
  /// Errors   invalid_argument if the value is below zero or too large for an int; the same holds
  ///          for the sizes of the buffers.
  [[nodiscard]] RAMIE_API Result<void> set_linger(
      std::optional<std::chrono::seconds> linger) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_keepalive(bool on) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_send_buffer_size(std::size_t bytes) noexcept;
  [[nodiscard]] RAMIE_API Result<void> set_receive_buffer_size(std::size_t bytes) noexcept;
  /// Returns and clears the error that the kernel keeps for the socket (SO_ERROR).
  [[nodiscard]] std::error_code take_error() noexcept { return socket_.take_error(); }

  bool is_open() const noexcept { return socket_.is_open(); }
  /// -1 if it is not open.
  int fd() const noexcept { return socket_.fd(); }
  /// Deregisters the descriptor and returns it, still non-blocking; the caller closes it. No other
  /// fiber may be in a call of this stream.
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

/// Options of TcpListener::bind().
struct ListenOptions {
  int backlog = 1024;
  bool reuse_port = false;  // several sockets share the port; the kernel distributes
  bool only_ipv6 = false;
};

/// A listening socket.
class TcpListener {
 public:
  /// Not open.
  TcpListener() noexcept = default;

  /// Binds and listens. Port 0 takes a free port. ":7000" and "*:7000" mean all IPv6 and IPv4
  /// addresses of this machine. A host name ("localhost:7000") is looked up; the listener takes the
  /// first of its addresses that can be bound, IPv4 before IPv6.
  /// Errors   address_in_use, address_not_available, permission_denied, no_runtime; for a text also
  ///          those of lookup_host().
  /// Blocks   only to look up a name.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] RAMIE_API static Result<TcpListener> bind(
      const SocketAddr& address, const ListenOptions& options = {}) noexcept;
  [[nodiscard]] RAMIE_API static Result<TcpListener> bind(
      std::string_view address, const ListenOptions& options = {}) noexcept;

  /// Waits for the next connection. Skips connections that broke before they were accepted. When
  /// the process has no descriptor left, accept() closes one pending connection with the help of a
  /// reserved descriptor, prints a line at most once a second, and waits 5 ms to 1 s before it goes
  /// on.
  /// Returns  the connection and its peer.
  /// Errors   canceled, timed_out, shutting_down; errors of the socket itself.
  /// Blocks   this fiber.
  /// Threads  any number of fibers. They take turns in the order of their calls; the next
  ///          connection goes to the fiber whose turn it is, even if another would run sooner.
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

}  // namespace ramie::inline v0::net
