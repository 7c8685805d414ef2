// Turns by time and by number: operations and tasks that take long, and fibers that yield.
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::JoinHandle;
using ramie::spawn;
using ramie_test::compute_until;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;
using ramie_test::with_workers;

// Goal: time ends the budget, too. Method: a fiber computes for long before each operation, so each
// look at the time finds that its slice is over.
TEST_CASE("Budget: a fiber that computes between its operations yields by time",
          "[sched][fairness][exact]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.budget = GENERATE(std::uint32_t{128}, std::uint32_t{0});
  const bool has_slice = GENERATE(true, false);
  if (!has_slice) options.slice = ramie::sched::Pace::kNoSlice;
  const bool asks = GENERATE(true, false);
  SchedRuntime runtime(options);
  const auto joined = runtime.run([asks] {
    ramie::sync::Semaphore semaphore(1);
    for (int i = 0; i < 24; ++i) {
      const auto end = std::chrono::steady_clock::now() + 2ms;
      (void)compute_until([&] { return std::chrono::steady_clock::now() > end; });
      if (asks) ramie::consume_budget();
      else if (semaphore.acquire()) semaphore.release();
    }
  });
  REQUIRE(joined.has_value());
  const std::uint64_t yields = runtime.sum(&ramie::sched::WorkerMetrics::yields);
  if (!has_slice) CHECK(yields == 0);
  else CHECK(yields >= (asks ? 24 : 16));  // the first chunk of operations has no look
}

// Goal: B.7, a timer beside fibers whose operations take long. Method: each operation takes 200 us.
// If only their number counted, the first fiber could make 128 before the worker looks at the
// timer.
TEST_CASE("A timer does not wait for a whole budget of long operations", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  std::atomic<bool> stop{false};
  std::atomic<int> operations{0};
  std::vector<JoinHandle<void>> busy;
  for (int i = 0; i < 4; ++i)
    busy.push_back(spawn([&] {
      ramie::sync::Semaphore semaphore(1);
      while (!stop) {
        const auto end = std::chrono::steady_clock::now() + 200us;
        (void)compute_until([&] { return std::chrono::steady_clock::now() > end; });
        if (semaphore.acquire()) semaphore.release();
        ++operations;
      }
    }));
  const auto most = runtime.run([&] {
    int so_far = 0;
    for (int i = 0; i < 10; ++i) {
      const int before = operations;
      (void)ramie::sleep_for(1ms);
      so_far = std::max(so_far, operations - before);
    }
    return so_far;
  });
  stop = true;
  for (auto& one : busy) CHECK(one.join().has_value());
  CHECK(most.value_or(1'000) < 100);
}

// Goal: H.46. Method: tasks of 500 us, so many that their number alone would make the injector wait
// for 31 of them.
TEST_CASE("A fiber from outside waits for a few long tasks, not for a number of switches",
          "[sched][fairness][exact]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.global_interval = GENERATE(std::uint32_t{0}, std::uint32_t{61}, std::uint32_t{65536});
  SchedRuntime runtime(options);
  std::atomic<bool> stop{false};
  std::atomic<int> tasks{0};
  std::vector<JoinHandle<void>> busy;
  for (int i = 0; i < 30; ++i)
    busy.push_back(spawn([&] {
      while (!stop) {
        const auto end = std::chrono::steady_clock::now() + 500us;
        (void)compute_until([&] { return std::chrono::steady_clock::now() > end; });
        ++tasks;
        ramie::yield_now();
      }
    }));
  spin_until([&] { return tasks > 30; });
  // The thread injects the fiber before the waiting fiber gives its worker back.
  const auto most = runtime.run([&] {
    int so_far = 0;
    for (int i = 0; i < 10; ++i) {
      JoinHandle<int> injected;
      std::thread outside([&] {
        auto* before = ramie::sched::exchange_entered(&runtime.scheduler());
        injected = spawn([&tasks] { return tasks.load(); });
        (void)ramie::sched::exchange_entered(before);
      });
      outside.join();
      const int before = tasks;
      so_far = std::max(so_far, injected.join().value_or(1'000) - before);
    }
    return so_far;
  });
  stop = true;
  for (auto& one : busy) CHECK(one.join().has_value());
  CHECK(most.value_or(1'000) <= 8);
}

// Goal: the LIFO slot has its turn although each run takes longer than a slice. Method: a fiber
// wakes another after a long task, and nothing short runs before the next look at the time.
TEST_CASE("A fiber that was woken waits for a few long tasks, however many fibers run such tasks",
          "[sched][fairness][exact]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.lifo = GENERATE(std::uint32_t{0}, std::uint32_t{1}, std::uint32_t{3}, std::uint32_t{64});
  SchedRuntime runtime(options);
  constexpr int kBusy = 4;
  constexpr int kMost = 400;
  ramie::sync::Notify go;
  std::atomic<int> tasks{0};
  std::atomic<int> woken_at{-1};
  std::atomic<int> ran_at{-1};
  auto waiter = spawn([&] {
    (void)go.wait();
    ran_at = tasks.load();
  });
  (void)runtime.run([&] {
    const auto work = [&](bool wakes) {
      for (int i = 0; ran_at < 0 && tasks < kMost; ++i) {
        const auto end = std::chrono::steady_clock::now() + 500us;
        (void)compute_until([&] { return std::chrono::steady_clock::now() > end; });
        ++tasks;
        if (wakes && i == 3) {
          woken_at = tasks.load();
          go.notify_one();
        }
        ramie::yield_now();
      }
    };
    std::vector<JoinHandle<void>> busy;
    for (int i = 0; i < kBusy; ++i) busy.push_back(spawn([&work, i] { work(i == 0); }));
    for (auto& one : busy) (void)one.join();
  });
  CHECK(waiter.join().has_value());
  REQUIRE(woken_at > 0);
  CHECK(ran_at - woken_at <= (options.lifo == 0 ? kBusy : 2));
}

// Goal: D.16. Method: a pinned fiber yields until the fiber that it has spawned or woken has run.
TEST_CASE("What a yielding fiber spawns or wakes runs after a few of its yields, pinned or not",
          "[sched][fairness][exact]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.lifo = GENERATE(std::uint32_t{0}, std::uint32_t{1}, std::uint32_t{3}, std::uint32_t{64});
  const bool is_parent_pinned = GENERATE(false, true);
  const bool is_child_pinned = GENERATE(false, true);
  SchedRuntime runtime(options);
  auto parent = spawn({.pinned = is_parent_pinned}, [is_child_pinned] {
    ramie::sync::Notify go;
    std::atomic<int> has_run{0};
    auto child = spawn({.pinned = is_child_pinned}, [&] {
      ++has_run;
      (void)go.wait();
      ++has_run;
    });
    int yields = 0;
    for (; has_run == 0 && yields < 1'000; ++yields) ramie::yield_now();
    go.notify_one();
    for (; has_run == 1 && yields < 1'000; ++yields) ramie::yield_now();
    (void)child.join();
    return yields;
  });
  CHECK(parent.join().value_or(1'000) <= 16);
}
