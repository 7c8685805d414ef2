// The pool for blocking calls: threads start on demand, and none is lost or left.
#include "sched/blocking/pool.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/cancel.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::JoinHandle;
using ramie::spawn_blocking;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;
using ramie_test::with_workers;

namespace {

// Lets jobs in and holds them until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    opened_.wait(lock, [this] { return is_open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  int inside() {
    const std::lock_guard lock(mutex_);
    return inside_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
  int inside_ = 0;
};

}  // namespace

TEST_CASE("spawn_blocking: values, exceptions, and never on a worker", "[sched][blocking]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  CHECK(spawn_blocking([] { return 7; }).join() == 7);
  CHECK_THROWS_AS(spawn_blocking([] { throw std::out_of_range("x"); }).join(), std::out_of_range);
  const auto inside = runtime.run([] {
    return spawn_blocking(
               [] { return ramie::current::is_fiber() || ramie::current::worker_index() != -1; })
        .join();
  });
  CHECK(inside == false);
  // A job may use the runtime, since its thread has entered it.
  CHECK(spawn_blocking([] { return ramie::spawn([] { return 3; }).join(); }).join() == 3);
}

TEST_CASE("B40 the pool grows to its limit, queues the rest exactly, and shrinks to nothing",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.blocking_threads = 4;
  options.blocking_keepalive = 20ms;
  SchedRuntime runtime(options);
  auto& pool = runtime.scheduler().blocking();
  Gate gate;
  std::vector<JoinHandle<void>> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(spawn_blocking([&gate] { gate.pass(); }));
  spin_until([&] { return gate.inside() == 4; });
  CHECK(pool.threads() == 4);
  CHECK(pool.queued() == 6);
  gate.open();
  for (auto& job : jobs) CHECK(job.join().has_value());
  CHECK(pool.queued() == 0);
  spin_until([&] { return pool.threads() == 0; });
  CHECK(spawn_blocking([] { return 1; }).join() == 1);  // and a new thread starts
}

TEST_CASE("B40 an idle thread is used again", "[sched][blocking]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  std::set<std::thread::id> threads;
  for (int i = 0; i < 100; ++i) {
    threads.insert(*spawn_blocking([] { return std::this_thread::get_id(); }).join());
    // The thread becomes idle a moment after its job has ended.
    spin_until([&] { return runtime.scheduler().blocking().running() == 0; });
    std::this_thread::sleep_for(200us);
  }
  CHECK(threads.size() <= 3);
}

TEST_CASE("The pool under a storm: 20,000 jobs from fibers and threads each run once",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(2);
  options.blocking_threads = 8;
  options.blocking_keepalive = 1ms;  // threads start and end all the time
  SchedRuntime runtime(options);
  std::atomic<int> ran{0};
  const auto storm = [&ran] {
    int failed = 0;
    for (int i = 0; i < 500; ++i) {
      std::vector<JoinHandle<void>> jobs;
      for (int n = 0; n < 10; ++n) jobs.push_back(spawn_blocking([&ran] { ++ran; }));
      for (auto& job : jobs) failed += !job.join();
    }
    return failed;
  };
  auto one = ramie::spawn(storm);
  auto two = ramie::spawn(storm);
  CHECK(storm() == 0);
  CHECK(storm() == 0);
  CHECK(one.join() == 0);
  CHECK(two.join() == 0);
  CHECK(ran == 20'000);
}

TEST_CASE("B41 a job that is cancelled before it starts never runs; a running one goes on",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.blocking_threads = 1;
  SchedRuntime runtime(options);
  Gate gate;
  bool ran = false;
  auto running = spawn_blocking([&gate] {
    gate.pass();
    return 5;
  });
  spin_until([&] { return gate.inside() == 1; });
  auto queued = spawn_blocking([&ran] { ran = true; });
  queued.cancel();
  running.cancel();
  gate.open();
  CHECK(running.join() == 5);
  CHECK(queued.join().error() == errc::task_canceled);
  CHECK_FALSE(ran);
}

TEST_CASE("B41 at shutdown queued jobs are cancelled, running ones end, later ones are refused",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.blocking_threads = 1;
  Gate gate;
  std::atomic<bool> ran{false};
  JoinHandle<int> running;
  JoinHandle<void> queued;
  JoinHandle<int> later;
  {
    SchedRuntime runtime(options);
    running = spawn_blocking([&gate, &later] {
      gate.pass();
      later = spawn_blocking([] { return 1; });
      return 5;
    });
    spin_until([&] { return gate.inside() == 1; });
    queued = spawn_blocking([&ran] { ran = true; });
    std::thread opening([&] {
      spin_until([&] { return runtime.scheduler().is_shutting_down(); });
      gate.open();
    });
    CHECK(runtime.shut_down(20s).empty());
    opening.join();
    CHECK(runtime.scheduler().live() == 0);
  }
  CHECK(running.join() == 5);
  CHECK(queued.join().error() == errc::task_canceled);
  CHECK(later.join().error() == errc::shutting_down);
  CHECK_FALSE(ran);
}

TEST_CASE("A job that is cancelled in a full pool's queue leaves it at once, and the others stay",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(1);
  options.blocking_threads = 1;
  SchedRuntime runtime(options);
  const auto& pool = runtime.scheduler().blocking();
  Gate gate;
  auto busy = spawn_blocking([&gate] { gate.pass(); });
  spin_until([&] { return gate.inside() == 1; });
  std::atomic<int> dropped_in_fibers{0};
  struct Waits {  // a closure whose destructor waits
    std::atomic<int>* count;
    explicit Waits(std::atomic<int>* counts) : count(counts) {}
    Waits(Waits&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
    Waits& operator=(Waits&&) = delete;
    ~Waits() {
      if (count == nullptr) return;
      const ramie::Shield shield;
      (void)ramie::sleep_for(1us);
      *count += ramie::current::is_fiber() ? 1 : 0;
    }
  };
  std::vector<int> order;
  std::vector<JoinHandle<void>> jobs;
  for (int i = 0; i < 10; ++i)
    jobs.push_back(spawn_blocking([&order, i, waits = Waits(&dropped_in_fibers)]() mutable {
      waits.count = nullptr;
      order.push_back(i);
    }));
  CHECK(pool.queued() == 10);
  for (const std::size_t i : {9U, 0U, 4U}) {  // the last, the first, one in between
    jobs[i].cancel();
    CHECK(jobs[i].join().error() == errc::task_canceled);
  }
  CHECK(pool.queued() == 7);
  CHECK(dropped_in_fibers == 3);
  jobs[0] = spawn_blocking([&order] { order.push_back(10); });
  gate.open();
  CHECK(busy.join().has_value());
  busy.cancel();  // after its end nothing happens
  for (auto& job : jobs)
    if (job.is_joinable()) CHECK(job.join().has_value());
  CHECK(order == std::vector<int>{1, 2, 3, 5, 6, 7, 8, 10});
}

TEST_CASE("Jobs that are cancelled while threads take them end once, all of them",
          "[sched][blocking]") {
  const Watchdog watchdog;
  auto options = with_workers(2);
  options.blocking_threads = 2;
  SchedRuntime runtime(options);
  std::atomic<int> ran{0};
  int ended = 0;
  int canceled = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<JoinHandle<void>> jobs;
    for (int i = 0; i < 10; ++i) jobs.push_back(spawn_blocking([&ran] { ++ran; }));
    for (std::size_t i = 0; i < jobs.size(); i += 2) jobs[i].cancel();
    for (auto& job : jobs) {
      const auto joined = job.join();
      if (!joined && joined.error() == errc::task_canceled) ++canceled;
      ++ended;
    }
  }
  CHECK(ended == 3000);
  CHECK(ran == 3000 - canceled);
  CHECK(runtime.scheduler().blocking().queued() == 0);
}
