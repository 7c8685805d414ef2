// What outlives a runtime says so, and frees itself; what ends with it leaves nothing behind.
#include "tests/support/process.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::JoinHandle;
using ramie::spawn;
using ramie::runtime::Builder;
using ramie::runtime::Handle;
using ramie::runtime::Runtime;
using ramie_test::Watchdog;

namespace {

Runtime make(std::size_t workers) {
  Builder builder;
  builder.ignore_environment(true).process_wide(false).workers(workers);
  return ramie::or_throw(builder.build());
}

bool is_end(const std::error_code& code) {
  return code == errc::shutting_down || code == errc::runtime_gone || code == errc::no_runtime;
}

}  // namespace

TEST_CASE("A JoinHandle outlives its runtime: value, error and exception are still there",
          "[runtime][lifetime]") {
  const Watchdog watchdog;
  JoinHandle<std::string> value;
  JoinHandle<int> thrown;
  JoinHandle<void> canceled;
  JoinHandle<int> dropped;
  {
    Runtime runtime = make(2);
    value = runtime.spawn([] { return std::string(1000, 'v'); });
    thrown = runtime.spawn([]() -> int { throw 9; });
    canceled = runtime.spawn([] { (void)ramie::sleep_for(1h); });
    dropped = runtime.spawn([] { return 1; });
    runtime.block_on([] { (void)ramie::sleep_for(2ms); });
  }
  CHECK(value.is_finished());
  CHECK(value.join()->size() == 1000);
  CHECK_THROWS_AS(thrown.join(), int);
  canceled.cancel();
  CHECK(canceled.join().has_value());
  CHECK(dropped.is_joinable());
}

TEST_CASE("A handle used after the end gives an error, and never a hang", "[runtime][lifetime]") {
  const Watchdog watchdog;
  std::optional<Handle> handle;
  {
    Runtime runtime = make(2);
    handle = runtime.handle();
    CHECK(handle->spawn([] { return 2; }).join() == 2);
    CHECK(runtime.shutdown(10s).empty());
    CHECK(runtime.shutdown(10s).empty());  // a second one does nothing
    CHECK(is_end(runtime.spawn([] { return 1; }).join().error()));
    CHECK(runtime.metrics().workers == 0);
  }
  CHECK(is_end(handle->spawn([] { return 1; }).join().error()));
  CHECK(is_end(handle->spawn_blocking([] { return 1; }).join().error()));
  CHECK_THROWS_AS(handle->block_on([] { return 1; }), std::system_error);
  const auto entered = handle->enter();
  CHECK(is_end(spawn([] { return 1; }).join().error()));
  CHECK(is_end(ramie::net::TcpListener::bind("127.0.0.1:0").error()));
}

TEST_CASE("Sockets outlive their runtime: operations say so, the descriptors close",
          "[runtime][lifetime]") {
  const Watchdog watchdog;
  (void)make(1).block_on([] { return ramie::net::TcpListener::bind("127.0.0.1:0").has_value(); });
  const std::size_t before = ramie_test::open_descriptors();
  {
    std::optional<ramie::net::TcpListener> listener;
    std::optional<ramie::net::TcpStream> client;
    std::optional<ramie::net::TcpStream> server;
    {
      Runtime runtime = make(2);
      runtime.block_on([&] {
        listener = std::move(*ramie::net::TcpListener::bind("127.0.0.1:0"));
        client = std::move(*ramie::net::TcpStream::connect(*listener->local_addr()));
        server = std::move(listener->accept()->stream);
      });
    }
    std::array<std::byte, 8> buffer{};
    CHECK(is_end(server->read(buffer).error()));
    CHECK(is_end(listener->accept().error()));
    Runtime other = make(1);
    const auto seen = other.block_on([&] { return server->read(buffer).error(); });
    CHECK(is_end(seen));
  }
  CHECK(ramie_test::open_descriptors() == before);
}

TEST_CASE("Channels and locks of an ended runtime's fibers stay usable", "[runtime][lifetime]") {
  const Watchdog watchdog;
  ramie::sync::Mutex mutex;
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(4);
  {
    Runtime runtime = make(2);
    runtime
        .spawn([&mutex] {
          const std::lock_guard lock(mutex);
          (void)ramie::sleep_for(1h);
        })
        .detach();
    runtime.block_on([&out = sender] {
      (void)out.send(4);
      (void)ramie::sleep_for(1ms);
    });
  }
  CHECK(mutex.try_lock());
  mutex.unlock();
  CHECK(receiver.try_recv() == 4);
}

TEST_CASE("A runtime ended from another runtime's fiber ends like any other",
          "[runtime][lifetime]") {
  const Watchdog watchdog;
  Runtime outer = make(2);
  const bool good = outer.block_on([] {
    // Ending blocks the thread, so it belongs on the pool for blocking calls.
    return ramie::spawn_blocking([] {
             Runtime inner = make(1);
             inner.spawn([] { (void)ramie::sleep_for(1h); }).detach();
             return inner.shutdown(10s).empty();
           }).join() == true;
  });
  CHECK(good);
}

// Goal: create, use, park fibers in every kind of wait, destroy: nothing is left, however often.
// STRESS_LONG=1 makes it 10,000 cycles; otherwise 1,000 of which every fifth uses sockets.
TEST_CASE("1,000 runtimes come and go with parked fibers, and nothing is left",
          "[runtime][lifetime]") {
  const Watchdog watchdog(std::chrono::seconds(1200));
  const bool is_long = std::getenv("STRESS_LONG") != nullptr;
  const int cycles = is_long ? 10'000 : 1'000;
  std::size_t descriptors = 0;
  std::size_t resident = 0;
  std::size_t mappings = 0;
  long ended = 0;
  long expected = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    if (cycle == 100) {
      descriptors = ramie_test::open_descriptors();
      resident = ramie_test::resident_bytes();
      mappings = ramie_test::mappings();
    }
    Runtime runtime = make(static_cast<std::size_t>(1 + cycle % 4));
    std::atomic<int> in{0};
    std::atomic<int> out{0};
    auto mutex = std::make_shared<ramie::sync::Mutex>();
    mutex->lock();
    const auto bell = std::make_shared<ramie::sync::Notify>();
    const ramie::CancellationToken token;
    int fibers = 0;
    const auto park = [&](auto wait) {
      ++fibers;
      runtime
          .spawn([&in, &out, wait = std::move(wait)]() mutable {
            ++in;
            (void)wait();
            ++out;
          })
          .detach();
    };
    park([] { return ramie::sleep_for(1h); });
    park([token] { return token.wait(); });
    park([bell] { return bell->wait(); });
    park([mutex] { return mutex->lock_cancelable(); });
    park([] {
      ramie::Scope scope;
      (void)scope.spawn([] { return ramie::sleep_for(1h); });
      return scope.join();
    });
    park([] {
      return ramie::timeout(1h, [] { return spawn([] { return ramie::sleep_for(2h); }).join(); });
    });
    if (cycle % 5 == 0) {
      park([] { return ramie::net::TcpListener::bind("127.0.0.1:0")->accept(); });
      park([] {
        auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
        auto stream = ramie::net::TcpStream::connect(*listener->local_addr());
        std::array<std::byte, 8> buffer{};
        return stream->read(buffer);
      });
      park([] { return ramie::spawn_blocking([] {}).join(); });
    }
    if (cycle % 3 != 0)  // else it ends while they start
      while (in < fibers) std::this_thread::yield();
    REQUIRE(runtime.shutdown(30s).empty());
    mutex->unlock();
    REQUIRE(in == out);
    if (cycle % 3 != 0) {
      ended += out;
      expected += fibers;
    }
  }
  CHECK(ended == expected);
  CHECK(ramie_test::open_descriptors() == descriptors);
  CHECK(ramie_test::mappings() < mappings + 64);
#if !defined(__SANITIZE_ADDRESS__)
  CHECK(ramie_test::resident_bytes() < resident + (64 << 20));
#endif
}
