// Tests a read that waits: what ends it, and what it leaves for the next read.
#include "sched/base/annotate.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <memory>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::net::TcpStream;

namespace {

// Waits until a fiber is parked in a read. Closing a stream while a call on it begins in another
// thread is an error of the caller.
void until_one_reads() {
  using ramie::sched::FiberWord;
  for (bool reads = false; !reads; ramie::yield_now())
    ramie::sched::current_scheduler()->for_each_fiber([&](ramie::sched::Fiber& fiber) {
      reads = reads || (fiber.waits_for.load() == ramie::sched::WaitKind::readable &&
                        fiber.word.state() == FiberWord::kParked);
    });
}

std::uint64_t events() { return ramie::runtime::Handle::current().metrics().io_ready; }

}  // namespace

TEST_CASE("A read that waits: a timeout leaves the next byte to the next reader", "[net]") {
  ramie_test::in_runtime(1, [] {
    ramie_test::TcpPair ends = ramie_test::tcp_pair();
    std::array<std::byte, 16> buffer{};
    for (int i = 0; i < 50; ++i) {
      const auto n = ramie::timeout(200us, [&] { return ends.near.read(buffer); });
      CHECK((!n && n.error() == errc::timed_out));
      CHECK(ends.far.write_all(ramie_test::bytes("x")).has_value());
      CHECK(*ends.near.read(buffer) == 1);
    }
  });
}

TEST_CASE("A read that waits: close() ends the reader, and no byte of the peer is lost", "[net]") {
  if (RAMIE_TSAN != 0) RAMIE_SKIP("closes a reader under its feet: the race detector is right");
  for (const std::size_t workers : {1U, 4U}) {
    ramie_test::in_runtime(workers, [] {
      for (int i = 0; i < 50; ++i) {
        ramie_test::TcpPair ends = ramie_test::tcp_pair();
        const int twin = ::dup(ends.near.fd());  // keeps the connection open
        auto stream = std::make_unique<TcpStream>(std::move(ends.near));
        std::array<std::byte, 16> buffer{};
        auto reader = ramie::spawn([&buffer, &it = *stream] { return it.read(buffer); });
        until_one_reads();
        *stream = TcpStream();
        const auto n = reader.join();
        CHECK((!n && n.error() == errc::canceled));
        CHECK(ends.far.write_all(ramie_test::bytes("next")).has_value());
        char text[8] = {};
        pollfd there{twin, POLLIN, 0};
        CHECK(::poll(&there, 1, 10'000) == 1);
        CHECK(::recv(twin, text, sizeof text, MSG_DONTWAIT) == 4);
        ::close(twin);
      }
    });
  }
}

TEST_CASE("A read that waits: the old reader does not read from a descriptor number that is reused",
          "[net]") {
  if (RAMIE_TSAN != 0) RAMIE_SKIP("closes a reader under its feet: the race detector is right");
  for (const std::size_t workers : {1U, 4U}) {
    ramie_test::in_runtime(workers, [] {
      for (int i = 0; i < 200; ++i) {
        ramie_test::TcpPair ends = ramie_test::tcp_pair();
        std::array<std::byte, 16> buffer{};
        auto reader = ramie::spawn([&] { return ends.near.read(buffer); });
        until_one_reads();
        for (int k = 0; k < i % 4; ++k) ramie::yield_now();
        ends.near = TcpStream();
        ramie_test::TcpPair others = ramie_test::tcp_pair();
        CHECK(others.far.write_all(ramie_test::bytes("next")).has_value());
        std::array<std::byte, 16> fresh{};
        CHECK(others.near.read(fresh).value_or(0) == 4);
        const auto n = reader.join();
        CHECK((!n && n.error() == errc::canceled));
      }
    });
  }
}

// A notification in the socket's error queue: poll reports POLLERR until it is taken.
TEST_CASE("A read that waits: a lasting error that does not concern readers ends no peek",
          "[net]") {
  ramie_test::in_runtime(1, [] {
    ramie_test::TcpPair ends = ramie_test::tcp_pair();
    const int on = 1;
    const int set = ::setsockopt(ends.near.fd(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
    if (set != 0 && ramie_test::is_emulated()) RAMIE_SKIP("emulated: no SO_ZEROCOPY");
    REQUIRE(set == 0);
    // ENOBUFS while other processes of this user have locked all that the limit allows.
    REQUIRE(ramie_test::comes_true(
        [&] { return ::send(ends.near.fd(), "x", 1, MSG_ZEROCOPY) == 1; }));
    pollfd told{ends.near.fd(), 0, 0};
    REQUIRE(::poll(&told, 1, 10'000) == 1);
    REQUIRE(told.revents == POLLERR);
    const std::uint64_t before = events();
    std::array<std::byte, 16> buffer{};
    const auto n = ramie::timeout(50ms, [&] { return ends.near.peek(buffer); });
    CHECK((!n && n.error() == errc::timed_out));
    CHECK(events() - before < 10);
    CHECK(ends.far.write_all(ramie_test::bytes("hello")).has_value());
    CHECK(ramie::timeout(5s, [&] { return ends.near.peek(buffer); }).value_or(0) == 5);
    CHECK(ends.near.read(buffer).value_or(0) == 5);
  });
}

TEST_CASE("A read that waits: a second reader is refused; vectored reads and peeks wait too",
          "[net]") {
  ramie_test::in_runtime(2, [] {
    ramie_test::TcpPair ends = ramie_test::tcp_pair();
    std::array<std::byte, 16> one{};
    std::array<std::byte, 16> two{};
    auto reader = ramie::spawn([&] { return ends.near.read(one); });
    until_one_reads();
    const auto second = ends.near.read(two);
    CHECK((!second && second.error() == errc::already_waiting));
    CHECK(ends.far.write_all(ramie_test::bytes("1")).has_value());
    CHECK(*reader.join() == 1);
    auto writer = ramie::spawn([&] {
      (void)ramie::sleep_for(2ms);
      return ends.far.write_all(ramie_test::bytes("abcdef"));
    });
    CHECK(ends.near.readable().has_value());
    CHECK(*ends.near.peek(two) == 6);
    const std::array parts{std::span(one).first(2), std::span(two).first(8)};
    CHECK(*ends.near.read_vectored(parts) == 6);
    CHECK(writer.join().has_value());
  });
}

TEST_CASE("A read that waits: a plain thread reads from a socket, then a fiber does", "[net]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie::or_throw(ramie_test::quiet_builder(1).build());
  ramie_test::TcpPair ends = runtime.block_on([] { return ramie_test::tcp_pair(); });
  std::array<std::byte, 16> buffer{};
  std::thread thread([&] {
    const auto entered = runtime.enter();
    const auto n = ends.near.read(buffer);
    if (!n || *n != 2) std::abort();
  });
  std::this_thread::sleep_for(2ms);
  runtime.block_on([&] { CHECK(ends.far.write_all(ramie_test::bytes("ab")).has_value()); });
  thread.join();
  runtime.block_on([&] {
    auto reader = ramie::spawn([&] { return ends.near.read(buffer); });
    (void)ramie::sleep_for(1ms);
    CHECK(ends.far.write_all(ramie_test::bytes("c")).has_value());
    CHECK(*reader.join() == 1);
  });
}

// Method: with a budget of one operation a fiber yields as it begins one. The slot of its socket is
// reused before it goes on.
TEST_CASE("A call that yields as it begins touches nothing of the slot's next owner", "[net]") {
  if (RAMIE_TSAN != 0) RAMIE_SKIP("closes a stream during a call: the race detector reports it");
  using Call = std::error_code (*)(TcpStream&);
  static std::array<std::byte, 16> buffer{};
  const Call calls[] = {[](TcpStream& stream) { return ramie_test::error_of(stream.read(buffer)); },
                        [](TcpStream& stream) { return ramie_test::error_of(stream.write("x")); },
                        [](TcpStream& stream) { return ramie_test::error_of(stream.readable()); },
                        [](TcpStream& stream) { return ramie_test::error_of(stream.writable()); }};
  for (const Call call : calls) {
    for (const int units : {0, 1, 2, 3}) {
      auto builder = ramie_test::quiet_builder(1);
      builder.budget(2);
      ramie_test::in_runtime_of(std::move(builder), [&] {
        ramie_test::TcpPair ends = ramie_test::tcp_pair();
        bool has_begun = false;
        auto caller = ramie::spawn([&] {
          for (int i = 0; i < units; ++i) ramie::consume_budget();
          has_begun = true;
          return call(ends.near);
        });
        while (!has_begun) ramie::yield_now();
        ends.near = TcpStream();
        for (int i = 0; i < 3; ++i) ramie::yield_now();  // a turn gives the slot back
        ramie_test::TcpPair others = ramie_test::tcp_pair();
        const auto ended = ramie::timeout(10s, [&] { return caller.join(); });
        REQUIRE(ended.has_value());
        const bool is_done = !*ended;  // before the close
        CHECK((is_done || *ended == errc::canceled));
        const auto idle = ramie::timeout(1ms, [&] { return others.near.read(buffer); });
        CHECK(ramie_test::error_of(idle) == errc::timed_out);
      });
    }
  }
}
