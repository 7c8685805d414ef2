// Two ends of a TCP connection over the loopback: both are streams, or one is a plain blocking
// socket that the test drives itself.
#pragma once

#include "tests/support/bytes.hpp"

#include <ramie/net.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ramie_test {

struct TcpPair {
  ramie::net::TcpStream near;
  ramie::net::TcpStream far;
};

// Call it in a fiber. The kernel completes the handshake before the accept.
inline TcpPair tcp_pair() {
  auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
  auto near = ramie::or_throw(ramie::net::TcpStream::connect(*listener.local_addr()));
  auto accepted = ramie::or_throw(listener.accept());
  return {std::move(near), std::move(accepted.stream)};
}

// A blocking socket with a time limit of five seconds.
class RawSocket {
 public:
  explicit RawSocket(int fd) noexcept : fd_(fd) { set_patience(); }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~RawSocket() { close(); }

  static RawSocket connect(const ramie::net::SocketAddr& peer) {
    RawSocket made(::socket(peer.is_ipv6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int rc = ::connect(made.fd_, static_cast<const sockaddr*>(peer.raw()),
                             static_cast<socklen_t>(peer.raw_size()));
    // With a time limit on sends the kernel does not restart connect() after a signal, so wait
    // here.
    pollfd open{made.fd_, POLLOUT, 0};
    const bool goes_on = rc != 0 && errno == EINTR && ::poll(&open, 1, 20'000) == 1;
    if (rc != 0 && !goes_on) throw std::system_error(errno, std::system_category(), "connect");
    return made;
  }

  int fd() const noexcept { return fd_; }
  bool send(std::string_view text) noexcept {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // Returns `size` bytes, or fewer at the end of the stream or after the time limit.
  std::string receive(std::size_t size) {
    std::string text(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t n = ::recv(fd_, text.data() + got, size - got, 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
  }
  // Returns what the next recv() would return: a count, or -errno.
  int peek_outcome() noexcept {
    char one = 0;
    const ssize_t n = ::recv(fd_, &one, 1, MSG_PEEK);
    return n < 0 ? -errno : static_cast<int>(n);
  }
  void half_close() noexcept { (void)::shutdown(fd_, SHUT_WR); }
  // Closes with a RST.
  void reset() noexcept {
    const linger now{1, 0};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() noexcept {
    if (fd_ >= 0) (void)::close(std::exchange(fd_, -1));
  }

 private:
  void set_patience() noexcept {
    const timeval patience{5, 0};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  int fd_;
};

struct RawPair {
  ramie::net::TcpStream stream;
  RawSocket peer;
};

// Call it in a fiber.
inline RawPair raw_pair() {
  auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
  RawSocket peer = RawSocket::connect(*listener.local_addr());
  auto accepted = ramie::or_throw(listener.accept());
  return {std::move(accepted.stream), std::move(peer)};
}

}  // namespace ramie_test
