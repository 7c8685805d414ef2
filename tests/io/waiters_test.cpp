// Tests many fibers that wait for one descriptor: which event wakes which fibers, and how often.
#include "tests/support/eventually.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/socket_pair.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/io.hpp>
#include <ramie/scope.hpp>

#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::io::Interest;
using ramie::io::Ready;
using ramie::io::Registration;
using ramie::sched::WaitKind;

using ramie_test::kBoth;

// Fills the send buffer of a socket.
void fill(int fd) {
  const std::array<char, 4096> block{};
  while (::send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
}

using Waiting = std::vector<ramie::JoinHandle<Result<Ready>>>;

Waiting wait_for(Registration& registration, Interest interest, std::size_t n) {
  Waiting waiting;
  for (std::size_t i = 0; i < n; ++i)
    waiting.push_back(
        ramie::spawn([&registration, interest] { return registration.readiness(interest); }));
  return waiting;
}

}  // namespace

TEST_CASE("B53 all waiters of a direction wake on one event, for any number") {
  for (const std::size_t workers : kWorkerCounts) {
    for (const std::size_t n : {10UL, 31UL, 32UL, 33UL, 64UL, 65UL, 300UL}) {
      CAPTURE(workers, n);
      in_runtime(workers, [n] {
        SocketPair pair;
        auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
        auto waiting = wait_for(registration, Interest::readable, n);
        REQUIRE(until_parked(WaitKind::io, n));
        const auto before = ramie::runtime::Handle::current().metrics().io_ready;
        REQUIRE(::write(pair.fds[1], "x", 1) == 1);
        for (auto& one : waiting) CHECK(one.join()->is_readable());
        CHECK(ramie::runtime::Handle::current().metrics().io_ready == before + 1);
      });
    }
  }
}

TEST_CASE("B54 an event for readers does not wake writers, and vice versa", "[exact]") {
  in_runtime(2, [] {
    SocketPair pair;
    fill(pair.fds[0]);
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    auto readers = wait_for(registration, Interest::readable, 3);
    auto writers = wait_for(registration, Interest::writable, 3);
    REQUIRE(until_parked(WaitKind::io, 6));
    REQUIRE(::write(pair.fds[1], "x", 1) == 1);
    // Without those after a yield: a slice of time may end in any operation.
    const auto runs = [] {
      const auto metrics = ramie::runtime::Handle::current().metrics();
      return metrics.switches - metrics.yields;
    };
    const auto before = runs();
    for (auto& one : readers) CHECK(one.join()->is_readable());
    (void)ramie::sleep_for(5ms);
    CHECK(parked(WaitKind::io) == 3);
    // Each reader runs once, and this fiber runs after each of them and after its sleep. No writer
    // runs.
    CHECK(runs() - before <= 7);
    std::array<char, 65536> sink;
    while (::recv(pair.fds[1], sink.data(), sink.size(), 0) > 0) {
    }
    for (auto& one : writers) CHECK(one.join()->is_writable());
  });
}

TEST_CASE("A waiter for either direction is woken once, by the first") {
  in_runtime(2, [] {
    SocketPair pair;
    fill(pair.fds[0]);
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    auto waiting = wait_for(registration, kBoth, 5);
    REQUIRE(until_parked(WaitKind::io, 5));
    REQUIRE(::write(pair.fds[1], "x", 1) == 1);
    for (auto& one : waiting) {
      const auto ready = one.join();
      CHECK(ready->is_readable());
      CHECK_FALSE(ready->is_writable());
    }
  });
}

TEST_CASE("A stream has one reader and one writer at a time; a second one is refused") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      SocketPair pair;
      fill(pair.fds[0]);
      auto stream = ramie::or_throw(ramie::net::TcpStream::from_fd(::dup(pair.fds[0])));
      std::array<std::byte, 8> buffer;
      auto reader = ramie::spawn([&] { return stream.read(buffer); });
      auto writer = ramie::spawn([&] { return stream.write(bytes("abc")); });
      REQUIRE(until_parked(WaitKind::readable, 1));
      REQUIRE(until_parked(WaitKind::writable, 1));
      std::array<std::byte, 8> other;
      CHECK(error_of(stream.read(other)) == errc::already_waiting);
      CHECK(error_of(stream.peek(other)) == errc::already_waiting);
      CHECK(error_of(stream.readable()) == errc::already_waiting);
      CHECK(error_of(stream.write(bytes("z"))) == errc::already_waiting);
      CHECK(error_of(stream.writable()) == errc::already_waiting);
      // The first ones still wait.
      REQUIRE(::write(pair.fds[1], "data", 4) == 4);
      CHECK(*reader.join() == 4);
      std::array<char, 65536> sink;
      while (::recv(pair.fds[1], sink.data(), sink.size(), 0) > 0) {
      }
      CHECK(*writer.join() == 3);
    });
  }
}

TEST_CASE("B60 a woken fiber may destroy its socket at once") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      for (int i = 0; i < 300; ++i) {
        RawPair pair = raw_pair();
        auto stream = std::make_unique<ramie::net::TcpStream>(std::move(pair.stream));
        auto owner = ramie::spawn([moved = std::move(stream)]() mutable {
          std::array<std::byte, 8> buffer;
          const auto n = moved->read(buffer);
          moved.reset();
          return n;
        });
        REQUIRE(pair.peer.send("x"));
        REQUIRE(*owner.join() == 1);
        REQUIRE(pair.peer.peek_outcome() == 0);
      }
    });
  }
}

TEST_CASE("Waiters that leave by a deadline are unlinked before the event comes") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      SocketPair pair;
      auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
      for (int round = 0; round < 20; ++round) {
        std::vector<ramie::JoinHandle<Result<Ready>>> waiting;
        for (int i = 0; i < 50; ++i)
          waiting.push_back(ramie::spawn([&registration, i] {
            return ramie::timeout(std::chrono::microseconds(100 * (i % 10)),
                                  [&] { return registration.readiness(Interest::readable); });
          }));
        (void)ramie::sleep_for(400us);
        REQUIRE(::write(pair.fds[1], "x", 1) == 1);
        for (auto& one : waiting) {
          const auto ready = one.join();
          CHECK((ready.has_value() || ready.error() == errc::timed_out));
        }
        const auto drain = [&]() -> Result<int> {
          char sink = 0;
          if (::recv(pair.fds[0], &sink, 1, MSG_DONTWAIT) == 1) return 1;
          return ramie::failure({errno, std::system_category()});
        };
        REQUIRE(*registration.io(Interest::readable, drain) == 1);
        CHECK_FALSE(registration.try_io(Interest::readable, drain).has_value());
      }
      CHECK(parked(WaitKind::io) == 0);
    });
  }
}

TEST_CASE("B64 data for a fiber on an idle runtime costs one turn and one wake", "[io]") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    std::array<std::byte, 8> buffer;
    auto reader = ramie::spawn([&] { return pair.stream.read(buffer); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    // The root fiber blocks its worker here, as foreign code would, so the other worker must serve.
    const auto metrics = [] { return ramie::runtime::Handle::current().metrics(); };
    REQUIRE(comes_true([&] { return metrics().parks == metrics().unparks + 1; }));
    std::this_thread::sleep_for(20ms);  // time for it to fall asleep
    const auto before = metrics();
    REQUIRE(pair.peer.send("x"));
    REQUIRE(comes_true([&] { return reader.is_finished(); }));
    const auto after = metrics();
    CHECK(after.io_ready - before.io_ready == 1);
    CHECK(after.switches - before.switches <= 2);
    CHECK(after.polls - before.polls <= 3 + (after.watches - before.watches));
    CHECK(*reader.join() == 1);
  });
}
