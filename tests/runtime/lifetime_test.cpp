// Objects that outlive a runtime report it and free themselves; a runtime leaves nothing behind.
#include "tests/support/builder.hpp"
#include "tests/support/endless_io.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"
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
using ramie_test::make_runtime;
using ramie_test::Watchdog;

namespace {

bool is_end(const std::error_code& code) {
  return code == errc::shutting_down || code == errc::runtime_gone || code == errc::no_runtime;
}

// Fibers of one runtime, each parked in another kind of wait.
class Parked {
 public:
  explicit Parked(Runtime& runtime) : runtime_(runtime) { mutex_->lock(); }
  ~Parked() { mutex_->unlock(); }
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;

  void park_plain() {
    park([] { return ramie::sleep_for(1h); });
    park([token = ramie::CancellationToken()] { return token.wait(); });
    park([bell = std::make_shared<ramie::sync::Notify>()] { return bell->wait(); });
    park([mutex = mutex_] { return mutex->lock_cancelable(); });
    park([] {
      ramie::Scope scope;
      (void)scope.spawn([] { return ramie::sleep_for(1h); });
      return scope.join();
    });
    park([] {
      const auto nested = [] { return spawn([] { return ramie::sleep_for(2h); }).join(); };
      return ramie::timeout(1h, nested);
    });
  }
  void park_io() {
    park([] { return ramie_test::accept_nobody(); });
    park([] { return ramie_test::read_from_silence(); });
    park([] { return ramie::spawn_blocking([] {}).join(); });
  }

  int fibers() const { return fibers_; }
  int in() const { return in_; }
  int out() const { return out_; }

 private:
  template <class Wait>
  void park(Wait wait) {
    ++fibers_;
    runtime_
        .spawn([this, wait = std::move(wait)]() mutable {
          ++in_;
          (void)wait();
          ++out_;
        })
        .detach();
  }

  Runtime& runtime_;
  std::shared_ptr<ramie::sync::Mutex> mutex_ = std::make_shared<ramie::sync::Mutex>();
  std::atomic<int> in_{0};
  std::atomic<int> out_{0};
  int fibers_ = 0;
};

}  // namespace

TEST_CASE("A JoinHandle outlives its runtime: value, error and exception are still there",
          "[runtime][lifetime]") {
  const Watchdog watchdog;
  JoinHandle<std::string> value;
  JoinHandle<int> thrown;
  JoinHandle<void> canceled;
  JoinHandle<int> dropped;
  std::atomic<bool> has_begun{false};
  {
    Runtime runtime = make_runtime(2);
    value = runtime.spawn([] { return std::string(1000, 'v'); });
    thrown = runtime.spawn([]() -> int { throw 9; });
    canceled = runtime.spawn([&has_begun] {
      has_begun = true;
      (void)ramie::sleep_for(1h);
    });
    dropped = runtime.spawn([] { return 1; });
    runtime.block_on([&] {
      while (!has_begun || !value.is_finished() || !thrown.is_finished())
        (void)ramie::sleep_for(1ms);
    });
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
    Runtime runtime = make_runtime(2);
    handle = runtime.handle();
    CHECK(handle->spawn([] { return 2; }).join() == 2);
    CHECK(runtime.shutdown(10s).empty());
    CHECK(runtime.shutdown(10s).empty());  // a second one does nothing
    CHECK(is_end(runtime.spawn([] { return 1; }).join().error()));
    CHECK(runtime.metrics().workers == 2);
  }
  CHECK(is_end(handle->spawn([] { return 1; }).join().error()));
  CHECK(is_end(handle->spawn_blocking([] { return 1; }).join().error()));
  CHECK_THROWS_AS(handle->block_on([] { return 1; }), std::system_error);
  const auto entered = handle->enter();
  CHECK(is_end(spawn([] { return 1; }).join().error()));
  CHECK(is_end(ramie::net::TcpListener::bind("127.0.0.1:0").error()));
}

// Goal: a time that is too long to count means "no limit", and never "no time at all".
TEST_CASE("The longest and the shortest durations mean what they say", "[runtime][lifetime]") {
  const Watchdog watchdog;
  using std::chrono::hours;
  Runtime runtime = ramie::or_throw(ramie_test::quiet_builder(2).build());
  const bool is_right = runtime.block_on([] {
    bool good = ramie::sleep_for(hours::min()).has_value();
    good &= ramie::sleep_for(std::chrono::nanoseconds::min()).has_value();
    good &= ramie::sleep_until(std::chrono::steady_clock::time_point::min()).has_value();
    for (const auto limit : {hours::max(), hours(5'000'000)}) {
      good &= ramie::timeout(limit, [] { return ramie::sleep_for(1ms); }).has_value();
      ramie::Scope scope;
      good &= scope.spawn([] { (void)ramie::sleep_for(5ms); }).has_value();
      good &= scope.drain(limit) == 0;
    }
    const auto ended = ramie::timeout(hours::min(), [] { return ramie::sleep_for(1h); });
    return good && !ended && ended.error() == ramie::errc::timed_out;
  });
  CHECK(is_right);
  std::atomic<bool> has_begun{false};
  auto slow = runtime.spawn([&has_begun] {
    has_begun = true;
    const ramie::Shield shield;
    (void)ramie::sleep_for(20ms);
  });
  REQUIRE(ramie_test::comes_true([&] { return has_begun.load(); }));
  CHECK(runtime.shutdown(hours::max()).empty());
  CHECK(slow.join().has_value());
}

TEST_CASE("Sockets outlive their runtime: operations say so, the descriptors close",
          "[runtime][lifetime]") {
  const Watchdog watchdog;
  (void)make_runtime(1).block_on(
      [] { return ramie::net::TcpListener::bind("127.0.0.1:0").has_value(); });
  const std::size_t before = ramie_test::open_descriptors();
  {
    std::optional<ramie::net::TcpListener> listener;
    std::optional<ramie::net::TcpStream> client;
    std::optional<ramie::net::TcpStream> server;
    {
      Runtime runtime = make_runtime(2);
      runtime.block_on([&] {
        listener = std::move(*ramie::net::TcpListener::bind("127.0.0.1:0"));
        client = std::move(*ramie::net::TcpStream::connect(*listener->local_addr()));
        server = std::move(listener->accept()->stream);
      });
    }
    std::array<std::byte, 8> buffer{};
    CHECK(is_end(server->read(buffer).error()));
    CHECK(is_end(listener->accept().error()));
    Runtime other = make_runtime(1);
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
    Runtime runtime = make_runtime(2);
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
  Runtime outer = make_runtime(2);
  const bool good = outer.block_on([] {
    // Ending blocks the thread, so it belongs on the pool for blocking calls.
    return ramie::spawn_blocking([] {
             Runtime inner = make_runtime(1);
             inner.spawn([] { (void)ramie::sleep_for(1h); }).detach();
             return inner.shutdown(10s).empty();
           }).join() == true;
  });
  CHECK(good);
}

// Goal: create a runtime, park fibers in every kind of wait, destroy it: nothing is left.
// Method: 1,000 cycles (10,000 if STRESS_LONG is set); every third ends while the fibers start.
TEST_CASE("1,000 runtimes come and go with parked fibers, and nothing is left",
          "[runtime][lifetime]") {
  const Watchdog watchdog(std::chrono::seconds(1200));
  const int cycles = std::getenv("STRESS_LONG") != nullptr ? 10'000 : 1'000;
  std::size_t descriptors = 0;
  std::size_t resident = 0;
  std::size_t mappings = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    if (cycle == 100) {
      descriptors = ramie_test::open_descriptors();
      resident = ramie_test::resident_bytes();
      mappings = ramie_test::mappings();
    }
    Runtime runtime = make_runtime(static_cast<std::size_t>(1 + cycle % 4));
    Parked parked(runtime);
    parked.park_plain();
    if (cycle % 5 == 0) parked.park_io();
    const bool all_run = cycle % 3 != 0;
    while (all_run && parked.in() < parked.fibers()) std::this_thread::yield();
    REQUIRE(runtime.shutdown(30s).empty());
    REQUIRE(parked.in() == parked.out());
    if (all_run) REQUIRE(parked.out() == parked.fibers());
  }
  CHECK(ramie_test::open_descriptors() == descriptors);
  CHECK(ramie_test::mappings() < mappings + 64);
  if (ramie_test::is_emulated())
    RAMIE_SKIP("memory: emulated: qemu-user keeps 280 KiB of each thread that has ended");
  CHECK(ramie_test::resident_bytes() < resident + (256 << 20));  // sanitizers keep some
}
