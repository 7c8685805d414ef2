// Tests connecting by address and by name, and the errors.
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>

#include <sys/socket.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::net::lookup_host;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::sched::WaitKind;

SocketAddr address_of_nobody() {
  auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
  return *listener.local_addr();
}

// A listener whose queue is full drops the SYN, so a connect never ends.
class FullListener {
 public:
  FullListener() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
    REQUIRE(::listen(fd_, 0) == 0);
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    address_ = SocketAddr::from_raw(&bound, sizeof bound);
    queued_.push_back(RawSocket::connect(address_));
  }
  ~FullListener() { ::close(fd_); }
  const SocketAddr& address() const { return address_; }

 private:
  int fd_;
  SocketAddr address_;
  std::vector<RawSocket> queued_;
};

}  // namespace

TEST_CASE(
    "connect: refused, unreachable and invalid addresses return their errors and leak nothing") {
  in_runtime(2, [] {
    const SocketAddr nobody = address_of_nobody();
    for (int i = 0; i < 100; ++i)
      REQUIRE(error_of(TcpStream::connect(nobody)) == std::errc::connection_refused);
    // Not a unicast address: the kernel refuses before it sends anything.
    CHECK(error_of(TcpStream::connect(*SocketAddr::parse("255.255.255.255:1"))) ==
          std::errc::network_unreachable);
    CHECK(error_of(TcpStream::connect(SocketAddr())) == std::errc::invalid_argument);
    const auto metrics = ramie::runtime::Handle::current().metrics();
    CHECK(metrics.io_registered == metrics.io_deregistered);
  });
}

TEST_CASE("connect: a peer that never answers ends at the deadline, and its socket is closed") {
  in_runtime(2, [] {
    FullListener full;
    const std::size_t before = open_descriptors();
    const auto begin = std::chrono::steady_clock::now();
    const auto stream = ramie::timeout(30ms, [&] { return TcpStream::connect(full.address()); });
    REQUIRE_FALSE(stream.has_value());
    CHECK(error_of(stream) == errc::timed_out);
    CHECK(error_of(stream) == std::errc::timed_out);
    CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    CHECK(open_descriptors() == before);
  });
}

TEST_CASE("connect: a cancel ends the attempt") {
  in_runtime(2, [] {
    FullListener full;
    const std::size_t before = open_descriptors();
    auto connecting = ramie::spawn([&] { return TcpStream::connect(full.address()); });
    REQUIRE(until_parked(WaitKind::connect, 1));
    CHECK(open_descriptors() == before + 1);
    connecting.cancel();
    CHECK(error_of(connecting.join()) == errc::canceled);
    CHECK(open_descriptors() == before);
  });
}

TEST_CASE("connect: a fiber that is cancelled already sends nothing") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    std::atomic<bool> has_begun{false};
    auto fiber = ramie::spawn([&] {
      has_begun = true;
      while (ramie::current::check()) ramie::yield_now();
      return TcpStream::connect(address);
    });
    while (!has_begun) ramie::yield_now();
    fiber.cancel();
    CHECK(error_of(fiber.join()) == errc::canceled);
    CHECK(error_of(ramie::timeout(5ms, [&] { return listener.accept(); })) == errc::timed_out);
  });
}

TEST_CASE("connect: errors of system calls are returned, and nothing leaks") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    for (const char* call : {"socket", "connect", "epoll_ctl"}) {
      CAPTURE(call);
      const std::size_t before = open_descriptors();
      const Fault fault({.calls = {call}, .error = ENOBUFS});
      CHECK(error_of(TcpStream::connect(address)) == std::errc::no_buffer_space);
      CHECK(open_descriptors() == before);
      CHECK(TcpStream::connect(address).has_value());
    }
  });
}

TEST_CASE("B31 connect, bind and from_fd outside a runtime return no_runtime and close") {
  const std::size_t before = open_descriptors();
  CHECK(error_of(TcpStream::connect(*SocketAddr::parse("127.0.0.1:1"))) == errc::no_runtime);
  CHECK(error_of(TcpStream::connect("127.0.0.1:1")) == errc::no_runtime);
  CHECK(error_of(TcpListener::bind("127.0.0.1:0")) == errc::no_runtime);
  CHECK(error_of(lookup_host("one.test:1")) == errc::no_runtime);
  CHECK(lookup_host("127.0.0.1:1").has_value());  // numbers need no resolver
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  CHECK(error_of(TcpStream::from_fd(fd)) == errc::no_runtime);
  CHECK(open_descriptors() == before);
}

TEST_CASE("connect by name tries every address of the name") {
  in_runtime(2, [] {
    // The name resolves to ::1 first; the listener is only on 127.0.0.1.
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const std::string port = std::to_string(listener.local_addr()->port());
    auto stream = TcpStream::connect("both.test:" + port);
    REQUIRE(stream.has_value());
    CHECK(stream->peer_addr()->to_string() == "127.0.0.1:" + port);
    const auto addresses = lookup_host("both.test:" + port);
    REQUIRE(addresses.has_value());
    REQUIRE(addresses->size() == 2);
    // Each address fails once; the error is that of the last.
    const Fault fault({.calls = {"connect"}, .error = ENETUNREACH, .times = Fault::kAlways});
    CHECK(error_of(TcpStream::connect("both.test:" + port)) == std::errc::network_unreachable);
    CHECK(fault.hits() == addresses->size());
  });
}

TEST_CASE("lookup_host: numbers, names, and invalid texts") {
  in_runtime(1, [] {
    CHECK(lookup_host("[::1]:80")->front().to_string() == "[::1]:80");
    const auto local = lookup_host("both.test:443");
    REQUIRE(local.has_value());
    for (const SocketAddr& one : *local) CHECK(one.port() == 443);
    for (const char* bad : {"", ":", "localhost", "localhost:", ":80", "127.0.0.1"})
      CHECK(error_of(lookup_host(bad)) == std::errc::invalid_argument);
    using namespace std::string_view_literals;
    for (const std::string_view bad :
         {"localhost:http"sv, "localhost:99999"sv, "localhost:-1"sv, "localhost\0.org:80"sv}) {
      CAPTURE(std::string(bad));
      CHECK(error_of(lookup_host(bad)) == std::errc::invalid_argument);
    }
    const auto unknown = lookup_host("none.test:80");
    CHECK(error_of(unknown) == std::errc::address_not_available);
    CHECK(error_of(lookup_host("later.test:80")) == std::errc::resource_unavailable_try_again);
  });
}
