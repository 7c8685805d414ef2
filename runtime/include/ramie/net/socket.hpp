// Socket: the base of all streams and listeners.
#pragma once

#include <ramie/io.hpp>
#include <ramie/net/addr.hpp>
#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

namespace ramie::inline v0::net {

enum class Shutdown : std::uint8_t { read, write, both };

/// A non-blocking socket that the runtime's driver watches. It owns the descriptor and closes it
/// when it is destroyed. TcpStream and TcpListener hold one each. Use Socket directly for a family
/// of sockets that the library has no class for, such as AF_UNIX.
///
/// receive() and send() need a connection; with datagrams each moves one. One fiber may receive
/// while another sends. A waiting call ends with canceled, timed_out or
/// shutting_down as every wait does, and with canceled when the socket is closed.
class Socket {
 public:
  Socket() noexcept = default;
  Socket(Socket&& other) noexcept = default;
  Socket& operator=(Socket&& other) noexcept {
    if (this == &other) return *this;
    close();
    registration_ = std::move(other.registration_);
    return *this;
  }
  ~Socket() { close(); }

  /// Takes over a non-blocking socket.
  /// Returns  the socket, which owns `fd`.
  /// Errors   invalid_argument if `fd` is in blocking mode; not_a_socket; those of
  ///          Registration::create(). On an error `fd` is closed.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] RAMIE_API static Result<Socket> from_fd(int fd) noexcept;
  /// Connects a new stream socket to `peer`. See TcpStream::connect().
  [[nodiscard]] RAMIE_API static Result<Socket> connect(const SocketAddr& peer) noexcept;

  /// See TcpStream::read(), read_vectored() and peek().
  [[nodiscard]] RAMIE_API Result<std::size_t> receive(std::span<std::byte> buffer) noexcept;
  [[nodiscard]] RAMIE_API Result<std::size_t> receive_vectored(
      std::span<const std::span<std::byte>> buffers) noexcept;
  [[nodiscard]] RAMIE_API Result<std::size_t> peek(std::span<std::byte> buffer) noexcept;
  /// See TcpStream::write() and write_vectored().
  [[nodiscard]] RAMIE_API Result<std::size_t> send(std::span<const std::byte> data) noexcept;
  [[nodiscard]] RAMIE_API Result<std::size_t> send_vectored(
      std::span<const std::span<const std::byte>> data) noexcept;
  /// Waits until something of `interest` is there. See TcpStream::readable() and writable(). It
  /// counts as the reader, the writer, or both.
  [[nodiscard]] RAMIE_API Result<void> wait_for(io::Interest interest) noexcept;

  struct Accepted;
  /// Takes the next connection of a listening socket. See TcpListener::accept().
  [[nodiscard]] RAMIE_API Result<Accepted> accept() noexcept;

  /// Ends one or both directions. It is no error if the connection is gone already.
  [[nodiscard]] RAMIE_API Result<void> shutdown(Shutdown how) noexcept;
  [[nodiscard]] RAMIE_API Result<SocketAddr> local_addr() const noexcept;
  [[nodiscard]] RAMIE_API Result<SocketAddr> peer_addr() const noexcept;
  /// setsockopt(2) and getsockopt(2) of an int.
  [[nodiscard]] RAMIE_API Result<void> set_option(int level, int name, int value) noexcept;
  [[nodiscard]] RAMIE_API Result<int> option(int level, int name) const noexcept;
  /// setsockopt(2) of any other type.
  [[nodiscard]] RAMIE_API Result<void> set_option(int level, int name,
                                                  std::span<const std::byte> value) noexcept;
  /// Returns and clears the error that the kernel keeps for the socket (SO_ERROR).
  [[nodiscard]] RAMIE_API std::error_code take_error() noexcept;

  bool is_open() const noexcept { return registration_.is_registered(); }
  /// -1 if it is not open.
  int fd() const noexcept { return registration_.fd(); }
  /// Deregisters the descriptor and returns it, still non-blocking; the caller closes it. No other
  /// fiber may be in a call of this socket.
  [[nodiscard]] RAMIE_API int into_fd() noexcept;
  void close() noexcept {
    if (is_open()) close_now();
  }

 private:
  class AcceptTurn;
  friend class TcpListener;
  friend class Acceptor;
  // As from_fd(), for a descriptor that is known to be non-blocking, and to be TCP or not.
  static Result<Socket> adopt(int fd, bool is_tcp) noexcept;
  explicit Socket(io::Registration registration) noexcept
      : registration_(std::move(registration)) {}
  RAMIE_API void close_now() noexcept;

  io::Registration registration_;
};

struct Socket::Accepted {
  Socket socket;
  SocketAddr peer;
};

}  // namespace ramie::inline v0::net
