// No fiber starves: not beside a fiber that always runs, one that computes, waits that never wait,
// or pinned fibers.
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <ctime>
#include <set>
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

namespace {

void respawn(std::atomic<bool>& stop, std::atomic<int>& runs) {
  ++runs;
  if (!stop) spawn(respawn, std::ref(stop), std::ref(runs)).detach();
}

}  // namespace

TEST_CASE("B04 a fiber that respawns itself for ever keeps nobody else from running",
          "[sched][fairness]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.lifo = GENERATE(std::uint32_t{0}, std::uint32_t{1}, std::uint32_t{3});
  std::atomic<bool> stop{false};
  std::atomic<int> runs{0};
  SchedRuntime runtime(options);  // after what its last, detached fiber looks at
  spawn(respawn, std::ref(stop), std::ref(runs)).detach();
  spin_until([&] { return runs > 100; });
  const auto joined = runtime.run([] {
    auto [sender, receiver] = ramie::sync::oneshot::channel<int>();
    auto other = spawn([out = std::move(sender)]() mutable { (void)out.send(5); });
    return receiver.recv();
  });
  stop = true;
  CHECK(joined == 5);
}

TEST_CASE("B10 fibers that are always runnable starve neither others nor timers",
          "[sched][fairness]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  SchedRuntime runtime(workers);
  std::atomic<bool> stop{false};
  std::vector<JoinHandle<int>> busy;
  for (int i = 0; i < 8; ++i)
    busy.push_back(spawn([&stop] {
      int rounds = 0;
      for (; !stop; ++rounds) ramie::yield_now();
      return rounds;
    }));
  CHECK(spawn([] { return ramie::sleep_for(5ms); }).join().has_value());
  CHECK(spawn([] { return 3; }).join() == 3);
  stop = true;
  for (auto& one : busy) CHECK(one.join().value_or(0) > 0);
}

TEST_CASE("B11 without LIFO slot a child runs on the other worker while its parent computes",
          "[sched][fairness]") {
  const Watchdog watchdog;
  auto options = with_workers(2);
  options.lifo = 0;
  options.watch = ramie::base::Nanos(0);  // no watcher: eager notification must be enough
  SchedRuntime runtime(options);
  for (int round = 0; round < 50; ++round) {
    const auto seen = runtime.run([] {
      std::atomic<bool> ran{false};
      auto child = spawn([&ran] { ran = true; });
      const bool in_time = compute_until([&] { return ran.load(); });
      (void)child.join();
      return in_time;
    });
    REQUIRE(seen == true);
  }
}

// Goal: a child in the LIFO slot of a computing parent is rescued, whenever the parent spawned it.
// Method: the parent computes for 0 to 15 ms first (the watcher gives up after 10), then spawns.
TEST_CASE("B11 P4 a child in the LIFO slot is rescued while its parent computes",
          "[sched][fairness]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  for (int round = 0; round < 60; ++round) {
    const auto seen = runtime.run([round] {
      const auto end = std::chrono::steady_clock::now() + round * 250us;
      (void)compute_until([&] { return std::chrono::steady_clock::now() > end; });
      std::atomic<bool> ran{false};
      auto child = spawn([&ran] { ran = true; });
      const bool in_time = compute_until([&] { return ran.load(); });
      (void)child.join();
      return in_time;
    });
    INFO("after " << round * 250 << " us of computing");
    REQUIRE(seen == true);
  }
}

// Found by RAMIE_CHAOS: a fiber that had yielded waited where no other worker could see it.
TEST_CASE("P4 a computing fiber does not hide who has yielded before it", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  for (const bool is_pinned : {false, true}) {
    const auto seen = runtime.run([is_pinned] {
      std::atomic<bool> is_back{false};
      auto computing = spawn({.pinned = is_pinned},
                             [&is_back] { return compute_until([&] { return is_back.load(); }); });
      for (int i = 0; i < 100; ++i) (void)ramie::yield_now();
      is_back = true;
      return ramie::or_throw(computing.join());
    });
    REQUIRE(seen == true);
  }
}

// Idle workers steal what waits behind a fiber that computes. Here no worker is ever idle.
TEST_CASE("P5 a busy worker takes what waits behind a computing fiber", "[sched][fairness]") {
  const Watchdog watchdog;
  const int size = GENERATE(4, 600);  // the other's queue has room, or is more than half full
  SchedRuntime runtime(2);
  const auto seen = runtime.run([size] {
    std::atomic<bool> is_over{false};
    std::vector<JoinHandle<void>> crowd;
    for (int i = 0; i < size; ++i)
      crowd.push_back(spawn([&] {
        while (!is_over) ramie::yield_now();
      }));
    int in_time = 0;
    for (int round = 0; round < 10; ++round) {
      auto computing = spawn({.pinned = true}, [] {
        std::atomic<int> ran{0};
        std::array<JoinHandle<void>, 3> children;  // the last of them is in the LIFO slot
        for (auto& child : children) child = spawn([&] { ++ran; });
        const bool is_in_time = compute_until([&] { return ran == 3; });
        for (auto& child : children) (void)child.join();
        return is_in_time;
      });
      in_time += ramie::or_throw(computing.join()) ? 1 : 0;
    }
    is_over = true;
    for (auto& one : crowd) (void)one.join();
    return in_time;
  });
  CHECK(seen == 10);
}

TEST_CASE("P4 a computing fiber holds up nobody's timer", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  for (int round = 0; round < 30; ++round) {
    std::atomic<bool> woke{false};
    auto sleeper = spawn([&woke, round] {
      (void)ramie::sleep_for(1ms + round * 1ms);
      woke = true;
    });
    auto computing = spawn({.pinned = round % 2 == 0},
                           [&woke] { return compute_until([&] { return woke.load(); }); });
    REQUIRE(computing.join() == true);
    REQUIRE(sleeper.join().has_value());
  }
}

// Goal: the same where all workers slept, and only the home of a pinned fiber was woken, which had
// the driver.
TEST_CASE("P4 a pinned fiber that computes leaves no driver unattended", "[sched][fairness]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  for (std::size_t round = 0; round < 2 * workers; ++round) {  // every worker has one pinned fiber
    std::atomic<bool> woke{false};
    auto sleeper = spawn([&woke] {
      (void)ramie::sleep_for(60ms);
      woke = true;
    });
    std::this_thread::sleep_for(30ms);
    auto computing =
        spawn({.pinned = true}, [&woke] { return compute_until([&] { return woke.load(); }); });
    REQUIRE(computing.join() == true);
    REQUIRE(sleeper.join().has_value());
  }
}

// Goal: the watcher gives up when nothing moves. Method: one fiber computes for 500 ms, which is
// 1,000 watches; 20 at a time are allowed, at the start, beside the fiber and after it.
TEST_CASE("P4 the watcher of a lone computing fiber gives up", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto joined = runtime.run([] {
    const auto end = std::chrono::steady_clock::now() + 500ms;
    return compute_until([&] { return std::chrono::steady_clock::now() > end; });
  });
  CHECK(joined == true);
  CHECK(runtime.sum(&ramie::sched::WorkerMetrics::watches) <= 6 * 21);
}

// Goal: a timer that the computing fiber has armed for a child fires in time.
TEST_CASE("P4 timers on the wheel of a stuck worker fire", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  for (int round = 0; round < 20; ++round) {
    const auto seen = runtime.run([] {
      std::atomic<int> woke{0};
      std::vector<JoinHandle<void>> children;
      for (int i = 0; i < 10; ++i)
        children.push_back(spawn([&woke, i] {
          (void)ramie::sleep_for(1ms * i);
          ++woke;
        }));
      ramie::yield_now();
      const bool in_time = compute_until([&] { return woke == 10; });
      for (auto& child : children) (void)child.join();
      return in_time;
    });
    REQUIRE(seen == true);
  }
}

TEST_CASE("B19 a loop over waits that never wait lets others run", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto joined = runtime.run([&] {
    std::atomic<bool> ran{false};
    auto other = spawn([&ran] { ran = true; });
    int rounds = 0;
    SECTION("acquiring a free semaphore") {
      ramie::sync::Semaphore semaphore(1);
      for (; !ran && rounds < 10'000; ++rounds) {
        (void)semaphore.acquire();
        semaphore.release();
      }
    }
    SECTION("consume_budget") {
      for (; !ran && rounds < 10'000; ++rounds) ramie::consume_budget();
    }
    SECTION("a cancelled token") {
      const ramie::CancellationToken token;
      token.cancel();
      for (; !ran && rounds < 10'000; ++rounds) (void)token.wait();
    }
    SECTION("sleeping for nothing") {
      for (; !ran && rounds < 10'000; ++rounds) (void)ramie::sleep_for(0s);
    }
    (void)other.join();
    return rounds;
  });
  CHECK(joined.value_or(0) >= 1);
  CHECK(joined.value_or(10'000) <= 2 * 128);
}

TEST_CASE("B17 draining 1,000 messages that are there lets others run", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto before_other = runtime.run([] {
    auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1'000);
    for (int i = 0; i < 1'000; ++i) (void)sender.try_send(int{i});
    std::atomic<int> drained{0};
    std::atomic<int> seen{-1};
    auto other = spawn([&] { seen = drained.load(); });
    while (drained < 1'000 && receiver.recv()) ++drained;
    (void)other.join();
    return drained == 1'000 ? seen.load() : -2;
  });
  CHECK(before_other.value_or(-3) >= 0);
  CHECK(before_other.value_or(1'000) <= 128);
}

TEST_CASE("Refused waits spend budget: a loop over them starves nobody", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto joined = runtime.run([] {
    std::atomic<bool> ran{false};
    const ramie::CancellationToken token;
    token.cancel();
    auto other = spawn([&ran] { ran = true; });
    int rounds = 0;
    for (; !ran && rounds < 10'000; ++rounds)
      (void)ramie::until(token, [] { return ramie::sleep_for(1h); });
    (void)other.join();
    return rounds;
  });
  CHECK(joined.value_or(0) >= 1);
  CHECK(joined.value_or(10'000) <= 2 * 128);
}

TEST_CASE("Budget: yields are counted, one for each budget spent", "[sched][fairness][exact]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.budget = GENERATE(std::uint32_t{16}, std::uint32_t{128}, std::uint32_t{0});
  options.slice = ramie::sched::Pace::kNoSlice;  // a slow machine would add some
  const std::uint32_t budget = options.budget;
  SchedRuntime runtime(options);
  const auto joined = runtime.run([] {
    for (int i = 0; i < 1280; ++i) ramie::consume_budget();
  });
  REQUIRE(joined.has_value());
  const std::uint64_t yields = runtime.sum(&ramie::sched::WorkerMetrics::yields);
  CHECK(yields == (budget == 0 ? 0 : 1280 / budget));
}

TEST_CASE("A timeout fires although the inner operation always exhausts the budget",
          "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto joined = runtime.run([] {
    ramie::sync::Semaphore semaphore(1);
    return ramie::timeout(5ms, [&]() -> ramie::Result<void> {
      for (;;) {
        if (auto acquired = semaphore.acquire(); !acquired) return acquired;
        semaphore.release();
      }
    });
  });
  CHECK(joined.error() == ramie::errc::timed_out);
}

TEST_CASE("Pinned fibers never change their thread, and are spread over the workers",
          "[sched][fairness]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  struct Seen {
    bool same_thread = true;
    int worker = -1;
  };
  std::vector<JoinHandle<Seen>> pinned;
  std::vector<JoinHandle<void>> noise;
  for (std::size_t i = 0; i < 3 * workers; ++i)
    pinned.push_back(spawn({.pinned = true}, [] {
      const auto thread = std::this_thread::get_id();
      Seen seen;
      seen.worker = ramie::current::worker_index();
      for (int round = 0; round < 100; ++round) {
        if (round % 3 == 0) (void)ramie::sleep_for(50us);
        else ramie::yield_now();
        seen.same_thread &= std::this_thread::get_id() == thread;
        seen.same_thread &= ramie::current::worker_index() == seen.worker;
      }
      return seen;
    }));
  for (int i = 0; i < 20; ++i)
    noise.push_back(spawn([] {
      for (int round = 0; round < 200; ++round) ramie::yield_now();
    }));
  std::set<int> homes;
  for (auto& one : pinned) {
    const auto seen = one.join();
    REQUIRE(seen.has_value());
    CHECK(seen->same_thread);
    homes.insert(seen->worker);
  }
  for (auto& one : noise) CHECK(one.join().has_value());
  CHECK(homes.size() == workers);
}

TEST_CASE("B16 worker_index: the worker's in a fiber, -1 elsewhere", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  CHECK(ramie::current::worker_index() == -1);
  const auto inside = runtime.run([] { return ramie::current::worker_index(); });
  CHECK((inside == 0 || inside == 1));
  CHECK(ramie::spawn_blocking([] { return ramie::current::worker_index(); }).join() == -1);
}

TEST_CASE("Pinned fibers and others share a worker fairly", "[sched][fairness]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  std::atomic<bool> stop{false};
  std::atomic<int> pinned_rounds{0};
  std::atomic<int> free_rounds{0};
  const auto run = [&stop](std::atomic<int>& rounds) {
    for (; !stop; ++rounds) ramie::yield_now();
  };
  auto pinned = spawn({.pinned = true}, run, std::ref(pinned_rounds));
  auto free = spawn(run, std::ref(free_rounds));
  spin_until([&] { return pinned_rounds > 1000 && free_rounds > 1000; });
  stop = true;
  CHECK(pinned.join().has_value());
  CHECK(free.join().has_value());
}

// Goal: idle workers cost nothing. Method: look for 200 ms in which no worker began a sleep, took a
// turn or used the CPU. Without a timer there must soon be such a time.
TEST_CASE("B78 an idle scheduler takes no turns and no CPU", "[sched][fairness]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  REQUIRE(spawn([] { return ramie::sleep_for(1ms); }).join().has_value());
  using ramie::sched::WorkerMetrics;
  const auto look = [&runtime] {
    return std::array{runtime.sum(&WorkerMetrics::parks), runtime.sum(&WorkerMetrics::unparks),
                      runtime.sum(&WorkerMetrics::polls)};
  };
  const auto cpu_time = [] {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1'000'000'000L + used.tv_nsec;
  };
  spin_until([&] {
    const auto before = look();
    const long cpu_before = cpu_time();
    std::this_thread::sleep_for(200ms);
    const long used = cpu_time() - cpu_before;
    const auto after = look();
    return before == after && after[0] == after[1] + workers && used < 10'000'000;
  });
  CHECK(runtime.sum(&WorkerMetrics::parks) == runtime.sum(&WorkerMetrics::unparks) + workers);
}
