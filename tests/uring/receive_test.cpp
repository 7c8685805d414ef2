// Sockets whose receives wait in the ring (RAMIE_IO=uring). The tests of net run this way, too, in
// the lane `rings`; here is what only a ring can get wrong.
#include "sched/base/annotate.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::runtime::IoBackend;

namespace {

template <class F>
void by_ring(std::size_t workers, F&& function) {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie::or_throw(ramie_test::quiet_builder(workers).io(IoBackend::uring).build());
  runtime.block_on(std::forward<F>(function));
  CHECK(runtime.shutdown(10s).empty());
}

struct Ends {
  TcpStream near;
  TcpStream far;
};

Ends connected() {
  auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
  auto near = ramie::or_throw(TcpStream::connect(ramie::or_throw(listener.local_addr())));
  auto far = ramie::or_throw(listener.accept());
  return {std::move(near), std::move(far.stream)};
}

std::uint64_t started() { return ramie::runtime::Handle::current().metrics().uring_started; }

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("Receive by ring: data that comes later is read into the fiber's buffer", "[uring]") {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    by_ring(workers, [] {
      Ends ends = connected();
      std::array<std::byte, 16> buffer{};
      auto reader = ramie::spawn([&] { return ends.near.read(buffer); });
      (void)ramie::sleep_for(2ms);
      CHECK(ends.far.write_all(bytes("hello")).has_value());
      CHECK(*reader.join() == 5);
      CHECK(ramie::runtime::Handle::current().metrics().uring_completed >= 1);
      REQUIRE(ends.far.shutdown(ramie::net::Shutdown::write).has_value());
      CHECK(*ends.near.read(buffer) == 0);
    });
  }
}

TEST_CASE("Receive by ring: a time-out leaves the next byte to the next reader", "[uring]") {
  by_ring(1, [] {
    Ends ends = connected();
    std::array<std::byte, 16> buffer{};
    for (int i = 0; i < 50; ++i) {
      const auto n = ramie::timeout(200us, [&] { return ends.near.read(buffer); });
      CHECK((!n && n.error() == errc::timed_out));
      CHECK(ends.far.write_all(bytes("x")).has_value());
      CHECK(*ends.near.read(buffer) == 1);
    }
  });
}

TEST_CASE("Receive by ring: close() ends the reader, and the kernel eats no byte of the peer's",
          "[uring]") {
  if (RAMIE_TSAN != 0) RAMIE_SKIP("closes a reader under its feet: the race detector is right");
  for (const std::size_t workers : {1U, 4U}) {
    by_ring(workers, [] {
      for (int i = 0; i < 50; ++i) {
        Ends ends = connected();
        const int twin = ::dup(ends.near.fd());  // keeps the connection
        auto stream = std::make_unique<TcpStream>(std::move(ends.near));
        std::array<std::byte, 16> buffer{};
        const std::uint64_t before = started();
        auto reader = ramie::spawn([&buffer, &it = *stream] { return it.read(buffer); });
        while (started() == before) (void)ramie::sleep_for(100us);
        *stream = TcpStream();
        const auto n = reader.join();
        CHECK((!n && n.error() == errc::canceled));
        CHECK(ends.far.write_all(bytes("next")).has_value());
        char text[8] = {};
        pollfd there{twin, POLLIN, 0};
        CHECK(::poll(&there, 1, 10'000) == 1);
        CHECK(::recv(twin, text, sizeof text, MSG_DONTWAIT) == 4);
        ::close(twin);
      }
    });
  }
}

TEST_CASE("Receive by ring: a number that is reused at once is not read from by the old reader",
          "[uring]") {
  if (RAMIE_TSAN != 0) RAMIE_SKIP("closes a reader under its feet: the race detector is right");
  for (const std::size_t workers : {1U, 4U}) {
    by_ring(workers, [] {
      for (int i = 0; i < 200; ++i) {
        Ends ends = connected();
        std::array<std::byte, 16> buffer{};
        const std::uint64_t before = started();
        auto reader = ramie::spawn([&] { return ends.near.read(buffer); });
        // Who calls a stream that another thread closes meanwhile is on its own.
        while (started() == before) ramie::yield_now();
        for (int k = 0; k < i % 4; ++k) ramie::yield_now();
        ends.near = TcpStream();
        Ends others = connected();
        CHECK(others.far.write_all(bytes("next")).has_value());
        std::array<std::byte, 16> fresh{};
        CHECK(others.near.read(fresh).value_or(0) == 4);
        const auto n = reader.join();
        CHECK((!n && n.error() == errc::canceled));
      }
    });
  }
}

TEST_CASE("Receive by ring: many go to the kernel by one call", "[uring][exact]") {
  by_ring(1, [] {
    constexpr std::size_t kConnections = 64;
    std::vector<Ends> ends;
    for (std::size_t i = 0; i < kConnections; ++i) ends.push_back(connected());
    const std::uint64_t before_all = started();
    std::vector<ramie::JoinHandle<bool>> echoes;
    for (Ends& one : ends)
      echoes.push_back(ramie::spawn([&stream = one.near] {
        std::array<std::byte, 16> buffer{};
        for (int i = 0; i < 10; ++i) {
          const auto n = stream.read(buffer);
          if (!n || !stream.write_all(std::span(buffer).first(*n))) return false;
        }
        return true;
      }));
    const auto metrics = [] { return ramie::runtime::Handle::current().metrics(); };
    while (started() - before_all < kConnections) (void)ramie::sleep_for(1ms);
    const auto before = metrics();
    for (int i = 0; i < 10; ++i) {  // nobody answers before all have been asked: we have the worker
      char byte = 0;
      for (Ends& one : ends) (void)::send(one.far.fd(), "x", 1, 0);
      for (Ends& one : ends)
        while (::recv(one.far.fd(), &byte, 1, MSG_DONTWAIT) != 1) ramie::yield_now();
    }
    for (auto& echo : echoes) CHECK(echo.join() == true);
    const auto after = metrics();
    CHECK(after.uring_completed - before.uring_completed >= 10 * kConnections);
    CHECK(after.uring_enters - before.uring_enters < 10 * kConnections / 2);
  });
}

// A notification in the socket's error queue: poll says POLLERR until somebody takes it.
TEST_CASE("Receive by ring: an error that stays, but is no news for a reader, does not spin",
          "[uring]") {
  by_ring(1, [] {
    Ends ends = connected();
    const int on = 1;
    REQUIRE(::setsockopt(ends.near.fd(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0);
    REQUIRE(::send(ends.near.fd(), "x", 1, MSG_ZEROCOPY) == 1);
    pollfd told{ends.near.fd(), 0, 0};
    REQUIRE(::poll(&told, 1, 10'000) == 1);
    REQUIRE(told.revents == POLLERR);
    const std::uint64_t before = started();
    std::array<std::byte, 16> buffer{};
    const auto n = ramie::timeout(50ms, [&] { return ends.near.peek(buffer); });
    CHECK((!n && n.error() == errc::timed_out));
    CHECK(started() - before < 10);
    CHECK(ends.far.write_all(bytes("hello")).has_value());
    CHECK(ramie::timeout(5s, [&] { return ends.near.peek(buffer); }).value_or(0) == 5);
    CHECK(ends.near.read(buffer).value_or(0) == 5);
  });
}

TEST_CASE("Receive by ring: a second reader is told, vectored reads and peeks wait, too",
          "[uring]") {
  by_ring(2, [] {
    Ends ends = connected();
    std::array<std::byte, 16> one{};
    std::array<std::byte, 16> two{};
    const std::uint64_t before = started();
    auto reader = ramie::spawn([&] { return ends.near.read(one); });
    while (started() == before) (void)ramie::sleep_for(100us);
    const auto second = ends.near.read(two);
    CHECK((!second && second.error() == errc::already_waiting));
    CHECK(ends.far.write_all(bytes("1")).has_value());
    CHECK(*reader.join() == 1);
    auto writer = ramie::spawn([&] {
      (void)ramie::sleep_for(2ms);
      return ends.far.write_all(bytes("abcdef"));
    });
    CHECK(ends.near.readable().has_value());
    CHECK(*ends.near.peek(two) == 6);
    const std::array parts{std::span(one).first(2), std::span(two).first(8)};
    CHECK(*ends.near.read_vectored(parts) == 6);
    CHECK(writer.join().has_value());
  });
}

TEST_CASE("Receive by ring: a plain thread reads by readiness, and so does the socket from then on",
          "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie::or_throw(ramie_test::quiet_builder(1).io(IoBackend::uring).build());
  Ends ends = runtime.block_on([] { return connected(); });
  std::array<std::byte, 16> buffer{};
  std::thread thread([&] {
    const auto entered = runtime.enter();
    const auto n = ends.near.read(buffer);
    if (!n || *n != 2) std::abort();
  });
  std::this_thread::sleep_for(2ms);
  runtime.block_on([&] { CHECK(ends.far.write_all(bytes("ab")).has_value()); });
  thread.join();
  runtime.block_on([&] {
    auto reader = ramie::spawn([&] { return ends.near.read(buffer); });
    (void)ramie::sleep_for(1ms);
    CHECK(ends.far.write_all(bytes("c")).has_value());
    CHECK(*reader.join() == 1);
  });
}

TEST_CASE("Zero-copy send: all bytes arrive, and the memory is free when it returns", "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie_test::make_runtime(2);
  runtime.block_on([] {
    Ends ends = connected();
    constexpr std::size_t kSize = std::size_t{4} << 20U;
    auto reader = ramie::spawn([&] {
      std::vector<std::byte> all(kSize);
      if (!ends.far.read_exact(all)) return false;
      for (std::size_t i = 0; i < kSize; ++i)
        if (all[i] != static_cast<std::byte>(i / 4096)) return false;
      return true;
    });
    std::vector<std::byte> block(256U << 10U);
    std::size_t sent = 0;
    while (sent < kSize) {
      const std::size_t part = std::min(block.size(), kSize - sent);
      for (std::size_t i = 0; i < part; ++i) block[i] = static_cast<std::byte>((sent + i) / 4096);
      const auto n = ramie::uring::send_zero_copy(ends.near, std::span(block).first(part));
      REQUIRE(n.has_value());
      std::fill(block.begin(), block.end(), std::byte{0xff});  // the kernel is through with it
      sent += *n;
    }
    CHECK(*reader.join());
    CHECK(*ramie::uring::send_zero_copy(ends.near, bytes("small")) == 5);
  });
}

TEST_CASE("Zero-copy send: a peer that reads nothing cannot hold a cancelled one", "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie_test::make_runtime(1);
  runtime.block_on([] {
    Ends ends = connected();
    const std::vector<std::byte> block(1U << 20U);
    std::error_code end;
    for (int i = 0; i < 1000 && !end; ++i) {
      const auto n =
          ramie::timeout(20ms, [&] { return ramie::uring::send_zero_copy(ends.near, block); });
      if (!n) end = n.error();
    }
    // The memory was taken back by a reset, or nothing had been taken.
    CAPTURE(end.message());
    CHECK((end == errc::timed_out || end == std::errc::broken_pipe ||
           end == std::errc::not_connected || end == std::errc::connection_reset));
    TcpStream closed;
    const auto none = ramie::uring::send_zero_copy(closed, block);
    CHECK((!none && none.error() == std::errc::bad_file_descriptor));
  });
}
