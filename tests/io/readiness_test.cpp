// Tests readiness as a fiber sees it through a Registration: edges, half-closed peers, urgent data.
#include "tests/support/in_runtime.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/io.hpp>

#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <catch2/catch.hpp>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::io::Interest;
using ramie::io::Ready;
using ramie::io::Registration;

using ramie_test::kBoth;

Result<std::size_t> receive(int fd, std::size_t size) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::recv(fd, buffer.data(), std::min(size, buffer.size()), MSG_DONTWAIT);
  if (n < 0) return ramie::failure({errno, std::system_category()});
  return static_cast<std::size_t>(n);
}

struct Fixture {
  explicit Fixture(int type = SOCK_STREAM) {
    REQUIRE(::socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds.data()) == 0);
    registration = ramie::or_throw(Registration::create(fds[0], kBoth));
  }
  ~Fixture() {
    (void)registration.deregister();
    for (const int fd : fds)
      if (fd >= 0) ::close(fd);
  }
  // What the driver has reported so far; waits at most for `patience`.
  Result<Ready> soon(Interest interest, std::chrono::milliseconds patience = 5ms) {
    return ramie::timeout(patience, [&] { return registration.readiness(interest); });
  }
  void send(std::string_view text) {
    REQUIRE(::send(fds[1], text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }
  std::array<int, 2> fds{};
  Registration registration;
};

}  // namespace

TEST_CASE("B50 a new descriptor is writable, and readable only after data arrives") {
  in_runtime(2, [] {
    Fixture it;
    CHECK(it.registration.readiness(Interest::writable)->is_writable());
    CHECK(error_of(it.soon(Interest::readable)) == errc::timed_out);
    it.send("x");
    CHECK(it.registration.readiness(Interest::readable)->is_readable());
    // After a read and a clear only new data makes it readable again.
    const auto take = [&] { return receive(it.fds[0], 1); };
    CHECK(*it.registration.io(Interest::readable, take) == 1);
    CHECK(error_of(it.registration.try_io(Interest::readable, take)) ==
          std::errc::operation_would_block);
    CHECK(error_of(it.soon(Interest::readable)) == errc::timed_out);
    it.send("y");
    CHECK(it.registration.readiness(Interest::readable)->is_readable());
  });
}

TEST_CASE("B55 try_io: not called unless ready, EAGAIN clears, success and other errors do not") {
  in_runtime(1, [] {
    Fixture it;
    int calls = 0;
    const auto counted = [&](auto result) {
      return [&calls, result]() -> Result<int> { return ++calls, result; };
    };
    const auto again = ramie::failure(std::make_error_code(std::errc::operation_would_block));
    const auto agained = ramie::failure({EAGAIN, std::system_category()});
    const auto broken = ramie::failure({EPIPE, std::system_category()});
    CHECK(error_of(it.registration.try_io(Interest::readable, counted(Result<int>(1)))) ==
          std::errc::resource_unavailable_try_again);
    CHECK(calls == 0);
    it.send("x");
    REQUIRE(it.registration.readiness(Interest::readable).has_value());
    CHECK(*it.registration.try_io(Interest::readable, counted(Result<int>(7))) == 7);
    CHECK(error_of(it.registration.try_io(Interest::readable, counted(Result<int>(broken)))) ==
          std::errc::broken_pipe);
    // Only the kernel's EAGAIN counts: the same condition of another category does not clear.
    CHECK_FALSE(it.registration.try_io(Interest::readable, counted(Result<int>(again))));
    CHECK(calls == 3);
    CHECK_FALSE(it.registration.try_io(Interest::readable, counted(Result<int>(agained))));
    CHECK(calls == 4);
    CHECK_FALSE(it.registration.try_io(Interest::readable, counted(Result<int>(1))));
    CHECK(calls == 4);  // cleared
    // The other direction is unchanged.
    CHECK(*it.registration.try_io(Interest::writable, counted(Result<int>(9))) == 9);
  });
}

TEST_CASE("Registration::io waits until the operation does not return EAGAIN") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      Fixture it;
      auto reader = ramie::spawn([&] {
        return it.registration.io(Interest::readable, [&] { return receive(it.fds[0], 100); });
      });
      REQUIRE(until_parked(ramie::sched::WaitKind::io, 1));
      it.send("hello");
      CHECK(*reader.join() == 5);
    });
  }
}

// Each call of the operation ends with EAGAIN, and an event has come meanwhile: so the fiber never
// parks.
TEST_CASE("Registration::io: a deadline ends an operation whose events never stop") {
  in_runtime(1, [] {
    Fixture it;
    const auto ended = ramie::timeout(20ms, [&] {
      return it.registration.io(Interest::readable, [&]() -> Result<int> {
        char byte = 'x';
        (void)::recv(it.fds[0], &byte, 1, MSG_DONTWAIT);  // there is room for the next one
        (void)::send(it.fds[1], &byte, 1, MSG_DONTWAIT);
        ramie::yield_now();  // the worker polls the driver
        return ramie::failure(std::error_code(EAGAIN, std::system_category()));
      });
    });
    CHECK(error_of(ended) == errc::timed_out);
  });
}

TEST_CASE("B57 a half-closed peer is reported, stays so, and only for reading") {
  in_runtime(2, [] {
    Fixture it;
    Fixture idle;
    CHECK_FALSE(it.soon(Interest::readable).has_value());
    ::shutdown(it.fds[1], SHUT_WR);
    for (int i = 0; i < 3; ++i) {
      const auto ready = it.registration.readiness(Interest::readable);
      CHECK(ready->is_read_closed());
      CHECK_FALSE(ready->is_write_closed());
      const auto take = [&] { return receive(it.fds[0], 1); };
      CHECK(*it.registration.try_io(Interest::readable, take) == 0);
    }
    CHECK_FALSE(it.registration.readiness(Interest::writable)->is_write_closed());
    ::shutdown(it.fds[1], SHUT_RD);
    CHECK(eventually(
        [&] { return it.registration.readiness(Interest::writable)->is_write_closed(); }));
    const auto ready = idle.registration.readiness(kBoth);
    CHECK_FALSE(ready->is_read_closed());
    CHECK_FALSE(ready->is_write_closed());
    CHECK_FALSE(ready->is_error());
  });
}

TEST_CASE("B57 a refused connection is delivered to a reader and to a writer") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    listener = ramie::net::TcpListener();  // no listener is left
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int rc = ::connect(fd, static_cast<const sockaddr*>(address.raw()),
                             static_cast<socklen_t>(address.raw_size()));
    REQUIRE((rc == 0 || errno == EINPROGRESS || errno == ECONNREFUSED));
    {
      auto registration = ramie::or_throw(Registration::create(fd, kBoth));
      CHECK(registration.readiness(Interest::readable)->is_read_closed());
      CHECK(registration.readiness(Interest::writable)->is_write_closed());
    }
    ::close(fd);
  });
}

TEST_CASE("B56 urgent data fires the priority interest, without a reader") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    const int fd = pair.stream.into_fd();
    {
      auto registration =
          ramie::or_throw(Registration::create(fd, Interest::readable | Interest::priority));
      CHECK(error_of(ramie::timeout(5ms, [&] {
              return registration.readiness(Interest::priority);
            })) == errc::timed_out);
      REQUIRE(::send(pair.peer.fd(), "!", 1, MSG_OOB) == 1);
      const auto ready = registration.readiness(Interest::priority);
      CHECK(ready->is_priority());
    }
    ::close(fd);
  });
}

TEST_CASE("B56 the error queue fires the error interest, without a reader") {
  in_runtime(1, [] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    REQUIRE(::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
    sockaddr_in nobody{};
    nobody.sin_family = AF_INET;
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nobody.sin_port = htons(9);  // no receiver: ICMP answers
    {
      auto registration = ramie::or_throw(Registration::create(fd, Interest::error));
      CHECK(error_of(ramie::timeout(
                5ms, [&] { return registration.readiness(Interest::error); })) == errc::timed_out);
      REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody) == 0);
      REQUIRE(::send(fd, "x", 1, 0) == 1);
      CHECK(registration.readiness(Interest::error)->is_error());
    }
    ::close(fd);
  });
}
