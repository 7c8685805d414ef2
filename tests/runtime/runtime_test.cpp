// Runtime, Builder, Handle, block_on, and several runtimes in one process.
#include "tests/support/builder.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::JoinHandle;
using ramie::spawn;
using ramie::runtime::Builder;
using ramie::runtime::Handle;
using ramie::runtime::Runtime;
using ramie_test::comes_true;
using ramie_test::make_runtime;
using ramie_test::quiet_builder;
using ramie_test::Watchdog;

namespace {

// Deep enough to need more than a fiber's stack.
[[gnu::noinline]] int deep(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : deep(depth - 1) + (frame[0] == static_cast<char>(depth) ? 1 : 0);
}

}  // namespace

TEST_CASE("B09 the Builder refuses zeros and accepts ones", "[runtime]") {
  const Watchdog watchdog;
  const auto is_refused = [](auto&& set) {
    Builder builder = quiet_builder(1);
    set(builder);
    const auto built = builder.build();
    return !built && built.error() == std::errc::invalid_argument;
  };
  CHECK(is_refused([](Builder& b) { b.workers(0); }));
  CHECK(is_refused([](Builder& b) { b.workers(1'000'000); }));
  CHECK(is_refused([](Builder& b) { b.io_shards(0); }));
  CHECK(is_refused([](Builder& b) { b.event_interval(0); }));
  CHECK(is_refused([](Builder& b) { b.global_interval(0); }));
  CHECK(is_refused([](Builder& b) { b.blocking_threads(0); }));
  constexpr auto kHuge = ~std::size_t{0};
  constexpr auto kMany = ~std::uint32_t{0};
  constexpr std::size_t kWraps = std::size_t{1} << 32;  // 0 in 32 bits
  CHECK(is_refused([](Builder& b) { b.workers(kWraps + 1); }));
  CHECK(is_refused([](Builder& b) { b.io_shards(kWraps + 1); }));
  CHECK(is_refused([](Builder& b) { b.blocking_threads(kWraps); }));
  CHECK(is_refused([](Builder& b) { b.blocking_threads(kWraps + 1); }));
  CHECK(is_refused([](Builder& b) { b.event_interval(kMany); }));
  CHECK(is_refused([](Builder& b) { b.global_interval(kMany); }));
  CHECK(is_refused([](Builder& b) { b.budget(kMany); }));
  CHECK(is_refused([](Builder& b) { b.lifo(kMany); }));
  CHECK(is_refused([](Builder& b) { b.uring_entries(kMany); }));
  CHECK(is_refused([](Builder& b) { b.uring_entries(7); }));
  for (const std::size_t size : {kHuge, kHuge - 4095, kWraps << 20, (std::size_t{1} << 30) + 1}) {
    CHECK(is_refused([size](Builder& b) { b.stack_size(size); }));
    CHECK(is_refused([size](Builder& b) { b.root_stack_size(size); }));
  }
  CHECK(is_refused([](Builder& b) { b.stack_cache(kHuge); }));
  using std::chrono::hours;
  for (const hours time : {hours::max(), hours::min(), hours(5'000'000), hours(-1)}) {
    CHECK(is_refused([time](Builder& b) { b.spin(time); }));
    CHECK(is_refused([time](Builder& b) { b.watch(time); }));
    CHECK(is_refused([time](Builder& b) { b.notify_lazy(time); }));
    CHECK(is_refused([time](Builder& b) { b.blocking_keepalive(time); }));
    CHECK(is_refused([time](Builder& b) { b.drain_timeout(time); }));
    CHECK(is_refused([time](Builder& b) { b.stall(time); }));
  }
  auto builder = quiet_builder(2);
  builder.event_interval(1).global_interval(1).blocking_threads(1).budget(1).lifo(1);
  Runtime runtime = ramie::or_throw(builder.build());
  const int sum = runtime.block_on([] {
    int total = 0;
    std::vector<JoinHandle<int>> fibers;
    for (int i = 0; i < 500; ++i)
      fibers.push_back(spawn([i] {
        ramie::yield_now();
        return i;
      }));
    for (auto& fiber : fibers) total += fiber.join().value_or(0);
    return total + ramie::spawn_blocking([] { return 1; }).join().value_or(0);
  });
  CHECK(sum == 124'751);
}

TEST_CASE("block_on gives values, Results, references of captured things, and exceptions",
          "[runtime]") {
  const Watchdog watchdog;
  CHECK(ramie::block_on([] { return 7; }) == 7);
  const auto failed =
      ramie::block_on([]() -> ramie::Result<int> { return ramie::failure(errc::full); });
  CHECK(failed.error() == errc::full);
  int value = 0;
  ramie::block_on([&value] { value = 5; });
  CHECK(value == 5);
  CHECK_THROWS_AS(ramie::block_on([] { throw std::out_of_range("x"); }), std::out_of_range);
  Runtime runtime = make_runtime(2);
  CHECK_THROWS_AS(runtime.block_on([]() -> int { throw std::length_error("x"); }),
                  std::length_error);
  CHECK(runtime.block_on([] { return std::string("again"); }) == "again");
}

TEST_CASE("block_on ends when its function has returned; detached fibers are ended, not lost",
          "[runtime]") {
  const Watchdog watchdog;
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  ramie::block_on([&] {
    for (int i = 0; i < 10; ++i)
      spawn([&] {
        ++begun;
        ended += ramie::sleep_for(1h).error() == errc::shutting_down;
      }).detach();
    while (begun < 10) (void)ramie::sleep_for(1ms);
  });
  CHECK(ended == 10);
}

TEST_CASE("BF09 block_on from many foreign threads at once, with deep stacks and signals",
          "[runtime]") {
  const Watchdog watchdog;
  Runtime runtime = ramie::or_throw(quiet_builder(2).root_stack_size(4 << 20).build());
  struct sigaction action{};
  struct sigaction before{};
  static std::atomic<int> signals{0};
  action.sa_handler = [](int) { ++signals; };
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  std::atomic<int> good{0};
  std::atomic<int> left{8};
  std::vector<std::thread> threads;
  std::vector<pthread_t> natives;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        good += runtime.block_on([i] {
          (void)ramie::sleep_for(10us);
          return deep(500) + i;
        }) == 500 + i;
      --left;
    });
    natives.push_back(threads.back().native_handle());
  }
  while (left > 0) {
    for (const pthread_t native : natives) ::pthread_kill(native, SIGUSR1);
    std::this_thread::sleep_for(200us);
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(::sigaction(SIGUSR1, &before, nullptr) == 0);
  CHECK(good == 400);
  CHECK(signals > 0);
}

TEST_CASE("B13 wakes come from plain threads, from their thread_locals' ends, from another runtime",
          "[runtime]") {
  const Watchdog watchdog;
  Runtime one = make_runtime(2);
  Runtime two = make_runtime(1);
  const ramie::CancellationToken by_thread;
  const ramie::CancellationToken by_local;
  const ramie::CancellationToken by_runtime;
  const auto wait_for = [&one](const ramie::CancellationToken& token) {
    return one.spawn([token] { return token.wait().has_value(); });
  };
  auto first = wait_for(by_thread);
  auto second = wait_for(by_local);
  auto third = wait_for(by_runtime);
  std::thread thread([&] {
    struct AtExit {
      ramie::CancellationToken token;
      ~AtExit() { token.cancel(); }
    };
    thread_local AtExit at_exit{by_local};
    (void)at_exit.token.is_canceled();
    by_thread.cancel();
  });
  thread.join();
  two.block_on([&] { by_runtime.cancel(); });
  CHECK(first.join() == true);
  CHECK(second.join() == true);
  CHECK(third.join() == true);
}

TEST_CASE("B14 two runtimes interoperate: channels, joins, spawns across", "[runtime]") {
  const Watchdog watchdog;
  Runtime one = make_runtime(2);
  Runtime two = make_runtime(2);
  const int sum = one.block_on([&two] {
    auto [sender, receiver] = ramie::sync::mpsc::channel<int>(4);
    auto producer = two.spawn([out = std::move(sender)]() mutable {
      for (int i = 1; i <= 1000; ++i)
        if (!out.send(int{i})) return false;
      return true;
    });
    int total = 0;
    while (auto value = receiver.recv()) total += *value;
    auto [ask, question] = ramie::sync::oneshot::channel<int>();
    auto answering =
        two.spawn([in = std::move(question)]() mutable { return in.recv().value_or(0) * 2; });
    (void)ask.send(21);
    return producer.join() == true ? total + answering.join().value_or(0) : -1;
  });
  CHECK(sum == 500'542);
  const bool is_there = one.block_on([&two] {
    return two.spawn([] { return Handle::try_current().has_value(); }).join() == true;
  });
  CHECK(is_there);
}

TEST_CASE("B30 entering: current runtime of a plain thread, in LIFO order", "[runtime]") {
  const Watchdog watchdog;
  CHECK_FALSE(Handle::try_current().has_value());
  CHECK(spawn([] { return 1; }).join().error() == errc::no_runtime);
  Runtime one = ramie::or_throw(quiet_builder(1).thread_name("one").build());
  Runtime two = ramie::or_throw(quiet_builder(2).thread_name("two").build());
  const auto workers = [] { return Handle::current().metrics().workers; };
  {
    const auto outer = one.enter();
    CHECK(workers() == 1);
    {
      const auto inner = two.enter();
      CHECK(workers() == 2);
      CHECK(spawn(workers).join() == 2U);
    }
    CHECK(workers() == 1);
    CHECK(spawn(workers).join() == 1U);
    CHECK(two.block_on(workers) == 2);
    CHECK(workers() == 1);
  }
  CHECK_FALSE(Handle::try_current().has_value());
}

TEST_CASE("B49 a runtime in a thread_local ends with its thread", "[runtime]") {
  const Watchdog watchdog;
  std::atomic<int> ended{0};
  std::thread thread([&ended] {
    thread_local Runtime runtime = make_runtime(2);
    std::atomic<bool> has_begun{false};
    runtime
        .spawn([&] {
          has_begun = true;
          ended += ramie::sleep_for(1h).error() == errc::shutting_down;
        })
        .detach();
    runtime.block_on([&has_begun] {
      while (!has_begun) (void)ramie::sleep_for(1ms);
    });
  });
  thread.join();
  CHECK(ended == 1);
}

TEST_CASE("Hooks: each worker runs them once, at its start and at its end", "[runtime]") {
  const Watchdog watchdog;
  std::atomic<int> started{0};
  std::atomic<int> stopped{0};
  {
    Runtime runtime = ramie::or_throw(quiet_builder(3)
                                          .on_thread_start([&started] { ++started; })
                                          .on_thread_stop([&stopped] { ++stopped; })
                                          .build());
    runtime.block_on([&] {
      while (started != 3) (void)ramie::sleep_for(1ms);
    });
    CHECK(stopped == 0);
  }
  CHECK(started == 3);
  CHECK(stopped == 3);
}

TEST_CASE("Metrics balance: each spawn has its end, each park its unpark", "[runtime]") {
  const Watchdog watchdog;
  Runtime runtime = make_runtime(2);
  runtime.block_on([] {
    ramie::Scope scope;
    for (int i = 0; i < 100; ++i) (void)scope.spawn([] { (void)ramie::sleep_for(100us); });
    (void)scope.join();
    auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
    auto client = ramie::net::TcpStream::connect(*listener->local_addr());
    auto server = listener->accept();
  });
  // The last fiber is counted a moment later, and then the workers sleep.
  ramie::runtime::Metrics metrics;
  CHECK(comes_true([&] {
    metrics = runtime.metrics();
    return metrics.finished == 101 && metrics.parks == metrics.unparks + 2;
  }));
  CHECK(metrics.workers == 2);
  CHECK(metrics.spawned == 101);
  CHECK(metrics.finished == 101);
  CHECK(metrics.switches >= 201);
  CHECK(metrics.parks == metrics.unparks + 2);
  CHECK(metrics.io_registered == 3);
  CHECK(metrics.io_deregistered == 3);
  CHECK(metrics.timers == 0);
  CHECK(metrics.stacks == 0);
  CHECK(metrics.blocking_queue == 0);
}

TEST_CASE("A Runtime is moved; the old one is ended by assignment", "[runtime]") {
  const Watchdog watchdog;
  std::atomic<bool> has_begun{false};
  std::atomic<bool> ended{false};
  Runtime one = make_runtime(1);
  one.spawn([&] {
       has_begun = true;
       ended = !ramie::sleep_for(1h);
     })
      .detach();
  one.block_on([&has_begun] {
    while (!has_begun) ramie::yield_now();
  });
  Runtime two = make_runtime(2);
  one = std::move(two);
  CHECK(ended);
  Runtime three = std::move(one);
  CHECK(three.metrics().workers == 2);
  CHECK(three.block_on([] { return 3; }) == 3);
}

TEST_CASE("process_wide(false): there are no signals, and they say so") {
  auto runtime = make_runtime(1);
  const auto error = runtime.block_on(
      [] { return ramie::signal::Signal::open(ramie::signal::Kind::user1()).error(); });
  CHECK(error == errc::unsupported);
}
