// Fibers from spawn to join. Each runs once, wherever it was started, and its end reaches the
// joiners.
#include "tests/support/fault_plan.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/scope.hpp>
#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::JoinHandle;
using ramie::spawn;
using ramie_test::PlannedFaults;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

// Counts the copies that exist.
struct Counted {
  static inline std::atomic<int> alive{0};
  Counted() noexcept { ++alive; }
  Counted(const Counted&) noexcept { ++alive; }
  Counted(Counted&&) noexcept { ++alive; }
  Counted& operator=(const Counted&) noexcept = default;
  ~Counted() { --alive; }
};

void chain(int left, std::atomic<int>& ran, std::atomic<bool>& has_ended) {
  ++ran;
  if (left == 0) has_ended = true;
  else spawn(chain, left - 1, std::ref(ran), std::ref(has_ended)).detach();
}

}  // namespace

TEST_CASE("B01 10,000 one-shot fibers each run exactly once", "[sched][spawn]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  constexpr std::size_t kFibers = 10'000;
  auto runs = std::make_unique<std::atomic<int>[]>(kFibers);
  {
    SchedRuntime runtime(workers);
    SECTION("spawned by a thread") {
      std::vector<JoinHandle<void>> handles;
      for (std::size_t i = 0; i < kFibers; ++i) handles.push_back(spawn([&runs, i] { ++runs[i]; }));
      for (auto& handle : handles) CHECK(handle.join().has_value());
    }
    SECTION("spawned by a fiber") {
      const auto joined = runtime.run([&] {
        std::vector<JoinHandle<void>> handles;
        for (std::size_t i = 0; i < kFibers; ++i)
          handles.push_back(spawn([&runs, i] { ++runs[i]; }));
        std::size_t failed = 0;
        for (auto& handle : handles) failed += !handle.join().has_value();
        return failed;
      });
      CHECK(joined == 0U);
    }
    SECTION("detached") {
      for (std::size_t i = 0; i < kFibers; ++i) spawn([&runs, i] { ++runs[i]; }).detach();
      spin_until([&] { return runtime.scheduler().live() == 0; });
    }
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < kFibers; ++i) wrong += runs[i] != 1;
  CHECK(wrong == 0);
}

TEST_CASE("B02 a chain of 10,000 spawns ends, with two stacks at a time", "[sched][spawn]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  std::atomic<int> ran{0};
  std::atomic<bool> has_ended{false};
  spawn(chain, 9'999, std::ref(ran), std::ref(has_ended)).detach();
  spin_until([&] { return has_ended.load(); });
  CHECK(ran == 10'000);
}

TEST_CASE("B21 join gives the value, flattens a Result, and throws the exception",
          "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  CHECK(spawn([] { return 7; }).join() == 7);
  CHECK(spawn([] { return std::string(1000, 'x'); }).join()->size() == 1000);
  CHECK(spawn([](int a, std::unique_ptr<int> b) { return a + *b; }, 1, std::make_unique<int>(2))
            .join() == 3);
  CHECK(spawn([]() -> ramie::Result<int> { return 5; }).join() == 5);
  CHECK(spawn([]() -> ramie::Result<int> { return ramie::failure(errc::full); }).join().error() ==
        errc::full);
  CHECK_THROWS_AS(spawn([] { throw std::out_of_range("7"); }).join(), std::out_of_range);
  CHECK_THROWS_AS(spawn([]() -> int { throw 3; }).join(), int);
}

TEST_CASE("B23 a cancelled fiber without a handle still destroys its locals", "[sched][spawn]") {
  const Watchdog watchdog;
  Counted::alive = 0;
  std::atomic<bool> is_in{false};
  {
    SchedRuntime runtime(2);
    {
      auto handle = spawn([&is_in, captured = Counted()] {
        const Counted local;
        is_in = true;
        (void)ramie::sleep_for(1h);
      });
      spin_until([&] { return is_in.load(); });
      handle.cancel();
    }
    spin_until([&] { return runtime.scheduler().live() == 0; });
    CHECK(Counted::alive == 0);
  }
}

TEST_CASE("B24 a cancel before the first run: the body never runs, its closure is destroyed",
          "[sched][spawn]") {
  const Watchdog watchdog;
  Counted::alive = 0;
  SchedRuntime runtime(1);
  bool ran = false;
  std::error_code error;
  const auto joined = runtime.run([&] {
    auto handle = spawn([&ran, captured = Counted()] { ran = true; });
    handle.cancel();
    handle.cancel();  // a second one does nothing
    error = handle.join().error();
  });
  CHECK(joined.has_value());
  CHECK_FALSE(ran);
  CHECK(error == errc::task_canceled);
  CHECK(Counted::alive == 0);
}

TEST_CASE("B24 a cancel after the end keeps the value; a cancel while parked ends the wait",
          "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  auto done = spawn([] { return 1; });
  spin_until([&] { return done.is_finished(); });
  done.cancel();
  done.cancel();
  CHECK(done.join() == 1);

  std::atomic<bool> is_in{false};
  auto parked = spawn([&] {
    is_in = true;
    return ramie::sleep_for(1h);
  });
  spin_until([&] { return is_in.load(); });
  std::this_thread::sleep_for(1ms);
  parked.cancel();
  CHECK(parked.join().error() == errc::canceled);
}

TEST_CASE("B24 a cancel while running refuses the next wait and every later one",
          "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::atomic<bool> is_in{false};
  std::atomic<bool> go{false};
  auto running = spawn([&] {
    is_in = true;
    while (!go) {
    }
    int refused = 0;
    for (int i = 0; i < 10; ++i) refused += ramie::sleep_for(1h).error() == errc::canceled;
    refused += ramie::current::check().error() == errc::canceled;
    return refused;
  });
  spin_until([&] { return is_in.load(); });
  running.cancel();
  go = true;
  CHECK(running.join() == 11);
}

// Goal: whichever of {join, drop, cancel} meets the fiber's end, the result is destroyed once.
// Method: all combinations, many times; count the results that exist.
TEST_CASE("B26 join, drop and cancel that race with the end leak nothing", "[sched][spawn]") {
  const Watchdog watchdog;
  Counted::alive = 0;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  {
    SchedRuntime runtime(workers);
    int values = 0;
    int canceled = 0;
    int thrown = 0;
    for (int i = 0; i < 2000; ++i) {
      const bool throws = i % 5 == 0;
      auto handle = spawn([throws, captured = Counted()]() -> Counted {
        if (throws) throw std::runtime_error("planned");
        return {};
      });
      if (i % 3 == 0) handle.cancel();
      if (i % 7 == 0) std::this_thread::yield();
      if (throws || i % 2 == 0) {
        try {
          if (handle.join()) ++values;
          else ++canceled;
        } catch (const std::runtime_error&) {
          ++thrown;
        }
      } else {
        handle.detach();
      }
    }
    spin_until([&] { return runtime.scheduler().live() == 0; });
    CHECK(values + canceled + thrown == 1200);
    CHECK(values > 0);
  }
  CHECK(Counted::alive == 0);
}

// Goal: if the handle is dropped at the moment of the fiber's end, the result is destroyed where
// its destructor may wait: in the fiber or by the dropper, never on a worker's own stack.
TEST_CASE("B26 a dropped result may wait in its destructor", "[sched][spawn]") {
  const Watchdog watchdog;
  static std::atomic<int> destroyed{0};
  static std::atomic<int> failed{0};
  struct Sleepy {
    bool is_owner = true;
    Sleepy() = default;
    Sleepy(Sleepy&& other) noexcept : is_owner(std::exchange(other.is_owner, false)) {}
    ~Sleepy() {
      if (!is_owner) return;
      failed += !ramie::sleep_for(1us).has_value();
      ++destroyed;
    }
  };
  destroyed = failed = 0;
  constexpr int kRounds = 2'000;
  {
    SchedRuntime runtime(2);
    const auto ended = runtime.run([] {
      for (int round = 0; round < kRounds; ++round) {
        auto handle = spawn([] { return Sleepy(); });
        for (int i = 0; i < round % 40; ++i) ramie::base::cpu_pause();
        if (round % 3 == 0) ramie::yield_now();
        handle.detach();
      }
    });
    CHECK(ended.has_value());
    spin_until([&] { return runtime.scheduler().live() == 0; });
  }
  CHECK(destroyed == kRounds);
  CHECK(failed == 0);
}

// Goal: without memory for its stack a fiber ends with an error, and the contents of its closure
// are destroyed where the destructor may wait.
TEST_CASE("A fiber without a stack: join says so, and its closure may wait in its destructor",
          "[sched][spawn]") {
  const Watchdog watchdog;
  struct Locks {
    ramie::sync::Mutex* mutex;
    std::atomic<int>* destroyed;
    Locks(ramie::sync::Mutex& m, std::atomic<int>& d) : mutex(&m), destroyed(&d) {}
    Locks(Locks&& other) noexcept
        : mutex(std::exchange(other.mutex, nullptr)), destroyed(other.destroyed) {}
    ~Locks() {
      if (mutex == nullptr) return;
      const std::lock_guard lock(*mutex);
      ++*destroyed;
    }
  };
  ramie::sync::Mutex mutex;
  std::atomic<int> destroyed{0};
  {
    SchedRuntime runtime(1);
    mutex.lock();
    auto handle = [&] {
      const PlannedFaults faults("mmap 1.. ENOMEM");
      auto refused = spawn({.stack_size = std::size_t{1} << 20},
                           [held = Locks(mutex, destroyed)] { return held.mutex != nullptr; });
      spin_until([&] { return faults.all_hits() > 0; });
      return refused;
    }();
    mutex.unlock();
    const auto joined = handle.join();
    CHECK(joined.error() == std::errc::not_enough_memory);
    CHECK(spawn([] { return 7; }).join() == 7);
  }
  CHECK(destroyed == 1);
}

TEST_CASE("B26 a join that was cancelled can be repeated, and loses nothing", "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto result = runtime.run([] {
    const ramie::CancellationToken may_end;
    auto slow = spawn([may_end] {
      (void)may_end.wait();
      return 9;
    });
    int refused = 0;
    for (int i = 0; i < 3; ++i) {
      const auto joined = ramie::timeout(1ms, [&] { return slow.join(); });
      refused += !joined && joined.error() == errc::timed_out;
    }
    may_end.cancel();
    return std::pair(refused, slow.join().value_or(0));
  });
  REQUIRE(result.has_value());
  CHECK(result->first == 3);
  CHECK(result->second == 9);
}

TEST_CASE("B27 ids are unique and the same inside, name and site are kept", "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(4);
  constexpr int kFibers = 1000;
  std::mutex mutex;
  std::set<std::uint64_t> inside;
  std::set<std::uint64_t> outside;
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < kFibers; ++i) {
    handles.push_back(spawn([&] {
      const std::lock_guard lock(mutex);
      inside.insert(ramie::current::id());
    }));
    outside.insert(handles.back().id());
  }
  for (auto& handle : handles) CHECK(handle.join().has_value());
  CHECK(inside.size() == kFibers);
  CHECK(inside == outside);
  CHECK(ramie::current::id() == 0);
  CHECK_FALSE(ramie::current::is_fiber());

  const std::string long_name(40, 'n');
  const auto named =
      spawn({.name = long_name}, [] { return std::string(ramie::current::name()); }).join();
  CHECK(named == std::string(31, 'n'));
  const auto renamed = spawn({.name = "before"}, [] {
                         ramie::current::set_name("after");
                         return std::string(ramie::current::name());
                       }).join();
  CHECK(renamed == "after");
  const auto site = runtime.run([] { return ramie::sched::current_fiber()->spawned_at; });
  CHECK(*site != nullptr);
}

TEST_CASE("BF10 a fiber destroys its locals where it ends; a thread joins it", "[sched][spawn]") {
  const Watchdog watchdog;
  struct Local {
    std::atomic<int>& ends_at;
    ~Local() { ends_at = ramie::current::worker_index(); }
  };
  SchedRuntime runtime(2);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> ended_at{-1};
    std::atomic<int> destroyed_at{-1};
    auto handle = spawn([&] {
      const Local local{destroyed_at};
      for (int i = 0; i < 5; ++i) (void)ramie::sleep_for(20us);
      ended_at = ramie::current::worker_index();
    });
    auto noise = spawn([] {
      for (int i = 0; i < 20; ++i) ramie::yield_now();
    });
    REQUIRE(handle.join().has_value());
    REQUIRE(noise.join().has_value());
    REQUIRE(destroyed_at == ended_at);
    REQUIRE(ended_at >= 0);
  }
}

TEST_CASE("Many fibers and threads may join-wait on results at once", "[sched][spawn]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  ramie::CancellationToken go;
  std::vector<JoinHandle<int>> workers;
  for (int i = 0; i < 100; ++i)
    workers.push_back(spawn([go, i] {
      (void)go.wait();
      return i;
    }));
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t * 25; i < (t + 1) * 25; ++i) sum += workers[i].join().value_or(0);
    });
  go.cancel();
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 4950);
}

TEST_CASE("Moving arguments in: copied or moved once, destroyed once", "[sched][spawn]") {
  const Watchdog watchdog;
  Counted::alive = 0;
  {
    SchedRuntime runtime(2);
    const Counted one;
    CHECK(spawn([](const Counted&, Counted) { return Counted::alive.load(); }, one, Counted())
              .join()
              .value_or(0) >= 3);
    struct Thrower {
      Thrower() = default;
      Thrower(const Thrower&) { throw std::runtime_error("copy"); }
    };
    const Thrower thrower;
    CHECK_THROWS_AS(spawn([](const Thrower&) {}, thrower), std::runtime_error);
    spin_until([&] { return runtime.scheduler().live() == 0; });
    CHECK(Counted::alive == 1);
  }
  CHECK(Counted::alive == 0);
}
