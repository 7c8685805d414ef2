// The end of a scheduler: every wait ends, every fiber runs to its end, and stragglers are named.
#include "tests/support/child.hpp"
#include "tests/support/endless_io.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/scope.hpp>
#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::JoinHandle;
using ramie::Result;
using ramie::spawn;
using ramie::sched::Fiber;
using ramie::sched::FiberWord;
using ramie::sched::Scheduler;
using ramie_test::comes_true;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

bool is(const std::error_code& code, errc expected) { return code == expected; }

template <class Predicate>
int count_fibers(Scheduler& scheduler, Predicate&& predicate) {
  int n = 0;
  scheduler.for_each_fiber([&](Fiber& fiber) { n += predicate(fiber) ? 1 : 0; });
  return n;
}

int told_of_shutdown(Scheduler& scheduler) {
  return count_fibers(scheduler, [](Fiber& fiber) {
    return (fiber.word.cancel_bits() & FiberWord::kShutdown) != 0;
  });
}

int parked(Scheduler& scheduler) {
  return count_fibers(scheduler,
                      [](Fiber& fiber) { return fiber.word.state() == FiberWord::kParked; });
}

// One fiber for each kind of wait. Each ends with the error of its wait.
class EveryWait {
 public:
  EveryWait() { mutex_.lock(); }
  ~EveryWait() { mutex_.unlock(); }
  EveryWait(const EveryWait&) = delete;
  EveryWait& operator=(const EveryWait&) = delete;

  void wait_for_time_and_fibers() {
    start([] { return ramie::sleep_for(1h); });
    start([] { return ramie::timeout(1h, [] { return ramie::sleep_for(2h); }); });
    start([this] { return token_.wait(); });
    start([this] { return ramie::until(token_, [] { return ramie::sleep_for(2h); }); });
    start([] {
      auto child = spawn([] { return ramie::sleep_for(1h); });
      return child.join();
    });
    start([] {
      ramie::sync::Semaphore is_joined(0);
      ramie::Scope scope;
      (void)scope.spawn([&is_joined] {  // it must not end first, or the join would succeed
        const ramie::Shield shield;
        (void)is_joined.acquire();
      });
      auto joined = scope.join();
      is_joined.release();
      return joined;
    });
  }
  void wait_for_sync() {
    (void)full_.first.try_send(1);
    start([this] { return mutex_.lock_cancelable(); });
    start([this] { return semaphore_.acquire(); });
    start([this] { return bell_.wait(); });
    start([this] { return full_.first.send(2); });
    start([this] { return empty_.second.recv(); });
    start([this] { return never_.second.recv(); });
    start([this] {
      std::unique_lock lock(other_);
      return condvar_.wait(lock);
    });
  }
  void wait_for_io() {
    start([] { return ramie_test::accept_nobody(); });
    start([] { return ramie_test::read_from_silence(); });
    start([] { return ramie_test::write_to_silence(); });
  }

  bool all_in() const { return in_ == static_cast<int>(waits_.size()); }
  std::vector<JoinHandle<std::error_code>>& waits() { return waits_; }

 private:
  template <class Operation>
  void start(Operation operation) {
    waits_.push_back(spawn([this, operation = std::move(operation)]() mutable {
      ++in_;
      const auto result = operation();
      if constexpr (std::is_same_v<decltype(result), const std::error_code>) return result;
      else return ramie_test::error_of(result);
    }));
  }

  ramie::sync::Mutex mutex_;
  ramie::sync::Condvar condvar_;
  ramie::sync::Mutex other_;
  ramie::sync::Semaphore semaphore_{0};
  ramie::sync::Notify bell_;
  const ramie::CancellationToken token_;
  std::pair<ramie::sync::mpsc::Sender<int>, ramie::sync::mpsc::Receiver<int>> full_ =
      ramie::sync::mpsc::channel<int>(1);
  std::pair<ramie::sync::mpsc::Sender<int>, ramie::sync::mpsc::Receiver<int>> empty_ =
      ramie::sync::mpsc::channel<int>(1);
  std::pair<ramie::sync::oneshot::Sender<int>, ramie::sync::oneshot::Receiver<int>> never_ =
      ramie::sync::oneshot::channel<int>();
  std::atomic<int> in_{0};
  std::vector<JoinHandle<std::error_code>> waits_;
};

}  // namespace

TEST_CASE("B45 what is spawned during shutdown is refused, its join says so", "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  std::atomic<bool> is_in{false};
  JoinHandle<bool> fiber;
  {
    SchedRuntime runtime(workers);
    fiber = spawn([&is_in] {
      is_in = true;
      bool good = ramie::sleep_for(1h).error() == errc::shutting_down;
      auto child = spawn([] { return 1; });
      good &= child.join().error() == errc::shutting_down;
      ramie::Scope scope;
      good &= scope.spawn([] {}).error() == errc::shutting_down;
      good &= ramie::spawn_blocking([] { return 1; }).join().error() == errc::shutting_down;
      return good;
    });
    spin_until([&] { return is_in.load(); });
  }
  CHECK(fiber.join() == true);  // the handle outlives the scheduler
}

TEST_CASE("Shutdown: fibers that never ran do not run, their closures are destroyed",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  std::atomic<int> ran{0};
  const auto counted = std::make_shared<int>(0);
  std::vector<JoinHandle<void>> handles;
  {
    SchedRuntime runtime(1);
    std::atomic<bool> is_in{false};
    std::atomic<bool> go{false};
    auto busy = spawn([&] {
      is_in = true;
      while (!go) {
      }
    });
    spin_until([&] { return is_in.load(); });
    for (int i = 0; i < 1000; ++i) handles.push_back(spawn([&ran, counted] { ++ran; }));
    bool are_all_told = false;
    std::thread later([&] {
      are_all_told = comes_true([&] { return told_of_shutdown(runtime.scheduler()) == 1001; });
      go = true;
    });
    CHECK(runtime.shut_down(20s).empty());
    later.join();
    CHECK(are_all_told);
    CHECK(runtime.scheduler().live() == 0);
    CHECK(runtime.scheduler().stacks().taken() == 0);
  }
  CHECK(ran == 0);
  CHECK(counted.use_count() == 1);
  for (auto& handle : handles) CHECK(is(handle.join().error(), errc::task_canceled));
}

TEST_CASE("Shutdown ends every kind of wait with shutting_down", "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  EveryWait every;
  {
    SchedRuntime runtime(workers);
    every.wait_for_time_and_fibers();
    every.wait_for_sync();
    every.wait_for_io();
    // 16 waits and two children. `all_in` alone is too early: opening a socket is a wait, too.
    spin_until([&] { return every.all_in() && parked(runtime.scheduler()) == 18; });
    std::this_thread::sleep_for(20ms);
  }
  REQUIRE(every.waits().size() == 16);
  for (std::size_t i = 0; i < every.waits().size(); ++i) {
    INFO("wait " << i);
    const auto ended = every.waits()[i].join();
    REQUIRE(ended.has_value());
    CHECK(*ended == errc::shutting_down);
  }
}

TEST_CASE("B44 destructors that wake each other and share a lock do not deadlock at the end",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  std::atomic<int> destroyed{0};
  ramie::sync::Mutex mutex;
  ramie::sync::Notify bells[50];
  {
    SchedRuntime runtime(workers);
    std::atomic<int> in{0};
    struct Local {
      std::atomic<int>& destroyed;
      ramie::sync::Mutex& mutex;
      ramie::sync::Notify& next;
      ~Local() {
        const std::lock_guard lock(mutex);
        next.notify_all();
        ramie::yield_now();
        (void)ramie::sleep_for(1us);
        ++destroyed;
      }
    };
    for (std::size_t i = 0; i < 50; ++i)
      spawn([&, i] {
        const Local local{destroyed, mutex, bells[(i + 1) % 50]};
        ++in;
        (void)bells[i].wait();
      }).detach();
    spin_until([&] { return in == 50; });
  }
  CHECK(destroyed == 50);
}

TEST_CASE("Shutdown names a fiber that does not end in time, leaks it, and the process goes on",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    bool good = true;
    {
      SchedRuntime runtime(2);
      std::atomic<int> in{0};
      auto computing = spawn({.name = "stubborn"}, [&in] {
        ++in;
        for (;;) std::this_thread::sleep_for(1ms);
      });
      auto shielded = spawn({.name = "shielded"}, [&in] {
        const ramie::Shield shield;
        ++in;
        (void)ramie::sleep_for(1h);
      });
      auto obedient = spawn({.name = "obedient"}, [&in] {
        ++in;
        (void)ramie::sleep_for(1h);
      });
      spin_until([&] { return in == 3; });
      std::string all;
      for (const std::string& line : runtime.shut_down(1s)) all += line + "\n";
      good &= all.find("'stubborn': running") != std::string::npos;
      good &= all.find("'shielded': sleep") != std::string::npos;
      good &= all.find("obedient") == std::string::npos;
      good &= runtime.scheduler().has_leaked();
      good &= obedient.join().has_value();
    }
    {
      SchedRuntime next(2);  // another one works
      good &= spawn([] { return 4; }).join() == 4;
      (void)next.shut_down(5s);
    }
    ::_exit(good ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("B48 a blocking job that sleeps does not hold up the end beyond its deadline",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    const auto start = std::chrono::steady_clock::now();
    SchedRuntime runtime(2);
    std::atomic<bool> is_in{false};
    auto stuck = ramie::spawn_blocking([&is_in] {
      is_in = true;
      std::this_thread::sleep_for(10'000s);
    });
    spin_until([&] { return is_in.load(); });
    const auto stragglers = runtime.shut_down(100ms);
    const bool good = runtime.scheduler().has_leaked() && stragglers.size() == 1 &&
                      std::chrono::steady_clock::now() - start < 20s;
    ::_exit(good ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("B48 with nothing to wait for the end comes at once, whatever the deadline",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime idle(workers);
  CHECK(idle.shut_down(10'000s).empty());
  SchedRuntime parked(workers);
  auto sleeper = spawn([] { return ramie::sleep_for(1h); });
  auto job = ramie::spawn_blocking([] {});
  CHECK(job.join().has_value());
  CHECK(parked.shut_down(10'000s).empty());  // also with an idle thread in the pool
}

TEST_CASE("Shutdown while fibers spawn, wake, sleep and end", "[sched][shutdown]") {
  const Watchdog watchdog(std::chrono::seconds(120));
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  for (int round = 0; round < 100; ++round) {
    SchedRuntime runtime(workers);
    struct Life {
      std::atomic<int>& ended;
      ~Life() { ++ended; }
    };
    for (int i = 0; i < 8; ++i)
      spawn([&] {
        ++begun;
        const Life life{ended};
        while (ramie::current::check()) {
          auto child = spawn([&] {
            ++begun;
            const Life inner{ended};
            (void)ramie::sleep_for(20us);
          });
          if (ramie::current::id() % 2 == 0) (void)child.join();
          ramie::yield_now();
        }
      }).detach();
    std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
  }
  CHECK(begun == ended);
}
