// Tests TcpStream's options and addresses.
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

namespace {

using namespace ramie_test;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0);
  return value;
}

linger linger_of(int fd) {
  linger value{};
  socklen_t size = sizeof value;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &size) == 0);
  return value;
}

// Checks both ends of a connection whose listener is bound to `text`.
void check_addresses(const char* text) {
  CAPTURE(text);
  auto listener = ramie::or_throw(TcpListener::bind(text));
  const auto address = *listener.local_addr();
  CHECK(address.port() != 0);
  auto near = ramie::or_throw(TcpStream::connect(address));
  auto far = ramie::or_throw(listener.accept());
  CHECK(*near.peer_addr() == address);
  CHECK(*near.local_addr() == far.peer);
  CHECK(*far.stream.peer_addr() == far.peer);
  CHECK(*far.stream.local_addr() == address);
  CHECK(address.is_ipv6() == (text[0] == '['));
}

}  // namespace

TEST_CASE("TcpStream options: the kernel has what was set") {
  in_runtime(1, [] {
    TcpPair pair = tcp_pair();
    TcpStream& stream = pair.near;
    for (const bool on : {true, false, true}) {
      REQUIRE(stream.set_nodelay(on).has_value());
      CHECK(*stream.nodelay() == on);
      REQUIRE(stream.set_keepalive(on).has_value());
      CHECK(option(stream.fd(), SO_KEEPALIVE) == (on ? 1 : 0));
    }
    REQUIRE(stream.set_send_buffer_size(16384).has_value());
    CHECK(option(stream.fd(), SO_SNDBUF) == 2 * 16384);  // the kernel doubles it
    REQUIRE(stream.set_receive_buffer_size(32768).has_value());
    CHECK(option(stream.fd(), SO_RCVBUF) == 2 * 32768);
    REQUIRE(stream.set_linger(7s).has_value());
    CHECK(linger_of(stream.fd()).l_onoff == 1);
    CHECK(linger_of(stream.fd()).l_linger == 7);
    REQUIRE(stream.set_linger(std::nullopt).has_value());
    for (const auto time : {std::chrono::seconds::max(), std::chrono::seconds(1LL << 32), -1s})
      CHECK(stream.set_linger(time).error() == std::errc::invalid_argument);
    for (const std::size_t size : {~std::size_t{0}, std::size_t{1} << 31, std::size_t{1} << 32}) {
      CHECK(stream.set_send_buffer_size(size).error() == std::errc::invalid_argument);
      CHECK(stream.set_receive_buffer_size(size).error() == std::errc::invalid_argument);
    }
    CHECK(linger_of(stream.fd()).l_onoff == 0);
    CHECK_FALSE(stream.take_error());
  });
}

TEST_CASE("TcpStream: both ends agree on their addresses") {
  in_runtime(1, [] {
    check_addresses("127.0.0.1:0");
    check_addresses("127.8.9.10:0");
  });
}

TEST_CASE("TcpStream: both ends agree on their addresses of IPv6") {
  if (!has_ipv6()) RAMIE_SKIP("needs IPv6");
  in_runtime(1, [] { check_addresses("[::1]:0"); });
}

TEST_CASE("B62 a linger of zero resets the peer") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.stream.set_linger(0s).has_value());
    pair.stream = TcpStream();
    CHECK(pair.peer.peek_outcome() == -ECONNRESET);
  });
}

TEST_CASE("Destroying a stream ends the connection properly; everything sent arrives") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.stream.write_all(bytes("goodbye")).has_value());
    pair.stream = TcpStream();
    CHECK(pair.peer.receive(100) == "goodbye");
    CHECK(pair.peer.peek_outcome() == 0);
  });
}

TEST_CASE("Sockets of the library close on exec and never block") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    auto near = ramie::or_throw(TcpStream::connect(*listener.local_addr()));
    auto far = ramie::or_throw(listener.accept());
    for (const int fd : {listener.fd(), near.fd(), far.stream.fd()}) {
      CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
      CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    }
  });
}
