// Tests Acceptor: connections by one operation that stays in the kernel.
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"

#include <ramie/net/uring.hpp>
#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::net::Acceptor;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie_test::error_of;
using ramie_test::in_runtime;

namespace {

// Returns whether the far end of `stream` is the one that sent `byte`.
bool brings(TcpStream& stream, std::byte byte) {
  std::array<std::byte, 1> buffer{};
  return stream.read_exact(buffer) && buffer[0] == byte;
}

}  // namespace

TEST_CASE("Acceptor: many connections at once are accepted, each once", "[uring]") {
  if (!ramie_test::raise_descriptor_limit(2000)) RAMIE_SKIP("needs 2,000 descriptors");
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      const auto address = ramie::or_throw(listener.local_addr());
      constexpr int kConnections = 800;
      std::atomic<int> greeted{0};
      ramie::Scope clients;
      for (int i = 0; i < kConnections; ++i)
        (void)clients.spawn([&] {
          auto stream = TcpStream::connect(address);
          const std::array hello{std::byte{'x'}};
          std::array<std::byte, 1> answer{};
          if (stream && stream->write_all(hello) && stream->read_exact(answer))
            greeted += answer == hello ? 1 : 0;
        });
      {
        Acceptor acceptor(listener);
        ramie::Scope sessions;
        for (int i = 0; i < kConnections; ++i) {
          auto stream = acceptor.next();
          REQUIRE(stream.has_value());
          REQUIRE(stream->peer_addr().has_value());
          (void)sessions.spawn([it = std::move(*stream)]() mutable {
            const std::array hello{std::byte{'x'}};
            if (brings(it, hello[0])) (void)it.write_all(hello);
          });
        }
      }
      CHECK(clients.join().has_value());
      CHECK(greeted == kConnections);
      const auto figures = ramie::runtime::Handle::current().metrics();
      if (std::getenv("RAMIE_IO") == nullptr) CHECK(figures.uring_started < kConnections / 20);
    });
  }
}

TEST_CASE(
    "Acceptor: a cancelled wait loses no connection, and connections that are not taken are closed",
    "[uring]") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const auto address = ramie::or_throw(listener.local_addr());
    std::vector<TcpStream> clients;
    {
      Acceptor acceptor(listener);
      const auto none = ramie::timeout(1ms, [&] { return acceptor.next(); });
      CHECK(error_of(none) == errc::timed_out);
      for (int i = 0; i < 10; ++i) clients.push_back(ramie::or_throw(TcpStream::connect(address)));
      (void)ramie::sleep_for(2ms);
      for (int i = 0; i < 4; ++i) CHECK(acceptor.next().has_value());
    }
    std::array<std::byte, 1> buffer{};
    for (auto& client : clients) {  // closed by us or by ~Acceptor
      const auto n = ramie::timeout(10s, [&] { return client.read(buffer); });
      CHECK((n == std::size_t{0} || error_of(n) == std::errc::connection_reset));
    }
    auto late = ramie::or_throw(TcpStream::connect(address));
    CHECK(listener.accept().has_value());  // the listener works again
  });
}

TEST_CASE("Acceptor: its end while connections arrive waits for the kernel", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      const auto address = ramie::or_throw(listener.local_addr());
      std::atomic<bool> stop{false};
      ramie::Scope clients;
      for (int i = 0; i < 8; ++i)
        (void)clients.spawn([&] {
          while (!stop) {
            (void)TcpStream::connect(address);
            ramie::yield_now();
          }
        });
      for (int i = 0; i < 50; ++i) {
        Acceptor acceptor(listener);
        for (int k = 0; k < i % 4; ++k) CHECK(acceptor.next().has_value());
      }
      stop = true;
      clients.cancel();
      (void)clients.join();
    });
  }
}

TEST_CASE("Acceptor: connections beyond its room wait in the listener's queue", "[uring]") {
  if (!ramie_test::raise_descriptor_limit(3000)) RAMIE_SKIP("needs 3,000 descriptors");
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const auto address = ramie::or_throw(listener.local_addr());
    Acceptor acceptor(listener);
    std::vector<TcpStream> clients;
    std::vector<TcpStream> accepted;
    CHECK(error_of(ramie::timeout(1ms, [&] { return acceptor.next(); })) == errc::timed_out);
    for (int i = 0; i < 1200; ++i) clients.push_back(ramie::or_throw(TcpStream::connect(address)));
    for (int i = 0; i < 1200; ++i) {
      auto stream = acceptor.next();
      REQUIRE(stream.has_value());
      accepted.push_back(std::move(*stream));
    }
    CHECK(error_of(ramie::timeout(1ms, [&] { return acceptor.next(); })) == errc::timed_out);
  });
}

TEST_CASE("Acceptor: without a ring it uses accept()", "[uring]") {
  auto builder = ramie_test::quiet_builder(1);
  builder.io(ramie::runtime::IoBackend::epoll);
  ramie_test::in_runtime_of(std::move(builder), [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    Acceptor acceptor(listener);
    auto client = ramie::or_throw(TcpStream::connect(ramie::or_throw(listener.local_addr())));
    CHECK(acceptor.next().has_value());
    CHECK(ramie::runtime::Handle::current().metrics().rings == 0);
  });
}
