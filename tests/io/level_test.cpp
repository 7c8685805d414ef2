// Goal: readiness() serves code that reads by itself. It returns while something is there, waits
// when nothing is, and never spins. Method: the test reads from the descriptors directly.
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/socket_pair.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/io.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::io::AsyncFd;
using ramie::io::Interest;
using ramie::io::ReadyGuard;
using ramie::io::Registration;

using ramie_test::kBoth;

struct Pair : SocketPair {
  void send(std::string_view text) const {
    REQUIRE(::send(fds[1], text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }
  // Reads directly, without the library.
  ssize_t take(std::size_t size) const {
    std::string text(size, '\0');
    return ::recv(fds[0], text.data(), size, MSG_DONTWAIT);
  }
};

// Returns whether the wait ends soon.
template <class F>
bool is_soon(F&& wait) {
  const auto said = ramie::timeout(20ms, std::forward<F>(wait));
  REQUIRE((said.has_value() || said.error() == errc::timed_out));
  return said.has_value();
}

}  // namespace

TEST_CASE("readiness(): a loop waits when other code has taken the data") {
  in_runtime(2, [] {
    Pair pair;
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    pair.send("x");
    int rounds = 0;
    const auto loop = [&]() -> Result<void> {
      for (;;) {
        if (auto ready = registration.readiness(Interest::readable); !ready)
          return ramie::failure(ready.error());
        ++rounds;
        (void)pair.take(16);
      }
    };
    CHECK(error_of(ramie::timeout(100ms, loop)) == errc::timed_out);
    CHECK(rounds >= 1);
    CHECK(rounds <= 2);
    pair.send("y");
    CHECK(error_of(ramie::timeout(100ms, loop)) == errc::timed_out);
    CHECK(rounds >= 2);
    CHECK(rounds <= 4);
    // The same for writing.
    const std::string block(65536, 'x');
    int writes = 0;
    CHECK(error_of(ramie::timeout(100ms, [&]() -> Result<void> {
            for (;;) {
              if (auto ready = registration.readiness(Interest::writable); !ready)
                return ramie::failure(ready.error());
              ++writes;
              while (::send(pair.fds[0], block.data(), block.size(), MSG_DONTWAIT) > 0) {
              }
            }
          })) == errc::timed_out);
    CHECK(writes >= 1);
    CHECK(writes <= 3);
  });
}

TEST_CASE("readiness(): data that is left is reported again without an edge") {
  in_runtime(2, [] {
    Pair pair;
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    const auto wait = [&] { return registration.readiness(Interest::readable); };
    CHECK_FALSE(is_soon(wait));
    pair.send("abc");
    for (int i = 0; i < 3; ++i) {
      CHECK(registration.readiness(Interest::readable)->is_readable());
      CHECK(registration.readiness(kBoth)->is_readable());
      CHECK(pair.take(1) == 1);
    }
    CHECK_FALSE(is_soon(wait));
    // The end of the stream is reported again and again.
    ::close(std::exchange(pair.fds[1], -1));
    for (int i = 0; i < 3; ++i) {
      CHECK(registration.readiness(Interest::readable)->is_read_closed());
      CHECK(pair.take(1) == 0);
    }
    CHECK(registration.readiness(Interest::writable)->is_write_closed());
  });
}

TEST_CASE("A guard: used up unless it is retained, cleared by hand, and no event is lost") {
  in_runtime(2, [] {
    Pair pair;
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    const auto wait = [&] { return registration.guard(Interest::readable); };
    pair.send("abc");
    {
      ReadyGuard guard = ramie::or_throw(wait());
      CHECK(guard.ready().is_readable());
      CHECK(pair.take(1) == 1);
    }
    CHECK(is_soon(wait));  // used up, but two bytes are there
    CHECK(pair.take(2) == 2);
    CHECK_FALSE(is_soon(wait));  // used up, and nothing is there
    pair.send("d");
    {
      ReadyGuard guard = ramie::or_throw(wait());
      CHECK(pair.take(16) == 1);
      pair.send("e");  // this edge is newer than the guard
      CHECK(is_soon(wait));
      guard.clear();
    }
    CHECK(is_soon(wait));
    CHECK(pair.take(16) == 1);
    {
      ReadyGuard guard = ramie::or_throw(registration.guard(Interest::writable));
      guard.retain();
      ReadyGuard moved = std::move(guard);
      moved.clear();  // there is nothing left to clear
    }
    CHECK(is_soon([&] { return registration.guard(Interest::writable); }));
    CHECK_FALSE(is_soon(wait));
  });
}

TEST_CASE("An error is reported once, again if its guard is retained, and to each kind of waiter") {
  in_runtime(2, [] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    REQUIRE(::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
    sockaddr_in nobody{};
    nobody.sin_family = AF_INET;
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nobody.sin_port = htons(9);  // no receiver: ICMP answers
    {
      auto registration = ramie::or_throw(Registration::create(fd, kBoth | Interest::error));
      REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody) == 0);
      REQUIRE(::send(fd, "x", 1, 0) == 1);
      const auto for_errors = [&] { return registration.guard(Interest::error); };
      const auto for_data = [&] { return registration.guard(Interest::readable); };
      ramie::or_throw(for_errors()).retain();
      CHECK(ramie::or_throw(for_data()).ready().is_readable());
      CHECK_FALSE(is_soon(for_data));
      CHECK(ramie::or_throw(for_errors()).ready().is_error());
      CHECK_FALSE(is_soon(for_errors));
      // The call is tried nevertheless.
      const auto receive = [&]() -> Result<int> {
        char one = 0;
        if (::recv(fd, &one, 1, 0) >= 0) return 0;
        return ramie::failure({errno, std::system_category()});
      };
      CHECK(error_of(registration.io(Interest::readable, receive)) ==
            std::errc::connection_refused);
    }
    ::close(fd);
  });
}

TEST_CASE("readiness(): many waiters, a descriptor that is closed, a kernel that cannot be asked") {
  in_runtime(2, [] {
    Pair pair;
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    pair.send("x");
    CHECK(registration.readiness(Interest::readable).has_value());
    {
      const Fault denied({.calls = {"poll"}, .error = EPERM, .times = Fault::kAlways});
      CHECK(registration.readiness(Interest::readable)->is_readable());
      CHECK(denied.hits() == 1);
    }
    const int other = ::dup(pair.fds[0]);  // keeps the registration in the kernel
    ::close(std::exchange(pair.fds[0], -1));
    CHECK(error_of(registration.readiness(Interest::readable)) == std::errc::bad_file_descriptor);
    ::close(other);
  });
}

TEST_CASE("TcpStream: readable() and writable() in a loop wait for code that makes its own calls") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.peer.send("hello"));
    int reads = 0;
    const auto read_all = [&]() -> Result<void> {
      for (;;) {
        if (auto waited = pair.stream.readable(); !waited) return waited;
        ++reads;
        std::array<char, 2> buffer;
        (void)::recv(pair.stream.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      }
    };
    CHECK(error_of(ramie::timeout(100ms, read_all)) == errc::timed_out);
    CHECK(reads >= 3);
    CHECK(reads <= 5);
    int writes = 0;
    const std::string block(1U << 20U, 'x');
    const auto write_all = [&]() -> Result<void> {
      for (;;) {
        if (auto waited = pair.stream.writable(); !waited) return waited;
        ++writes;
        while (::send(pair.stream.fd(), block.data(), block.size(), MSG_DONTWAIT) > 0) {
        }
      }
    };
    CHECK(error_of(ramie::timeout(200ms, write_all)) == errc::timed_out);
    CHECK(writes >= 1);
    CHECK(writes < 40);
    // The stream's own calls still work.
    auto reading = ramie::spawn([&] {
      std::array<std::byte, 8> buffer;
      return pair.stream.read(buffer);
    });
    REQUIRE(pair.peer.send("again"));
    CHECK(reading.join().value_or(0) == 5);
  });
}

TEST_CASE("AsyncFd: owns its object, which is closed after the registration has ended") {
  struct Socket {
    explicit Socket(int number) : fd(number) {}
    Socket(Socket&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
    Socket& operator=(Socket&& other) noexcept {
      if (fd >= 0) ::close(fd);
      fd = std::exchange(other.fd, -1);
      return *this;
    }
    ~Socket() {
      if (fd >= 0) ::close(fd);
    }
    int fd;
  };
  in_runtime(2, [] {
    Pair first, second;
    const auto own = [](Pair& pair) {
      const int fd = std::exchange(pair.fds[0], -1);
      return ramie::or_throw(AsyncFd<Socket>::create(Socket(fd), fd));
    };
    auto one = own(first);
    auto other = own(second);
    second.send("xy");
    const auto take = [](Socket& socket) -> Result<std::size_t> {
      std::array<char, 1> buffer;
      const ssize_t n = ::recv(socket.fd, buffer.data(), 1, 0);
      if (n < 0) return ramie::failure({errno, std::system_category()});
      return static_cast<std::size_t>(n);
    };
    one = std::move(other);
    CHECK(one.readable().has_value());
    CHECK(one.writable()->ready().is_writable());
    CHECK(one.io(Interest::readable, take).value_or(0) == 1);
    CHECK(one.try_io(Interest::readable, take).value_or(0) == 1);
    CHECK(error_of(one.try_io(Interest::readable, take)) == std::errc::operation_would_block);
    const Socket back = one.into_inner();
    CHECK(back.fd >= 0);
    CHECK_FALSE(one.registration().is_registered());
    // The descriptor may be registered again. Assignment closes the previous one.
    CHECK(Registration::create(back.fd, kBoth).has_value());
    CHECK(::send(first.fds[1], "x", 1, MSG_NOSIGNAL) == -1);
    CHECK_FALSE(AsyncFd<int>::create(-1, -1).has_value());
  });
}
