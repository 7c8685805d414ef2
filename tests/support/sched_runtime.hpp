// A scheduler on the real epoll driver, entered by the test's thread: a Runtime without
// configuration and signals. When it ends, every balance must be zero.
#pragma once

#include "io/handle.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/watchdog.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ramie_test {

inline ramie::sched::SchedulerOptions with_workers(std::size_t workers) {
  ramie::sched::SchedulerOptions options;
  options.workers = workers;
  options.chaos = chaos_seed();
  return options;
}

// On a plain thread. Only the watchdog limits the wait.
template <class Condition>
void spin_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

// In a fiber or a thread: keeps the core busy and waits for nothing. Returns false after 10 s.
template <class Condition>
bool compute_until(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition())
    if (std::chrono::steady_clock::now() > end) return false;
  return true;
}

class SchedRuntime {
 public:
  explicit SchedRuntime(std::size_t workers) : SchedRuntime(with_workers(workers)) {}

  // `prepare` gets the scheduler before its workers start.
  template <class Prepare>
  SchedRuntime(ramie::sched::SchedulerOptions options, Prepare&& prepare)
      : io_(ramie::or_throw(ramie::io::Handle::create(1))),
        scheduler_(new ramie::sched::Scheduler(std::move(options), io_->as_shards())) {
    scheduler_->env.set(*io_);
    prepare(*scheduler_);
    ramie::or_throw(scheduler_->start());
    before_ = ramie::sched::exchange_entered(scheduler_.get());
  }
  explicit SchedRuntime(ramie::sched::SchedulerOptions options)
      : SchedRuntime(std::move(options), [](ramie::sched::Scheduler&) {}) {}

  ~SchedRuntime() {
    if (is_ended_) return;
    const auto stragglers = shut_down(std::chrono::seconds(20));
    for (const std::string& straggler : stragglers) UNSCOPED_INFO("straggler: " << straggler);
    CHECK(stragglers.empty());
    CHECK(scheduler_->live() == 0);
    CHECK(scheduler_->stacks().taken() == 0);
    CHECK(scheduler_->timers().size() == 0);
  }

  SchedRuntime(const SchedRuntime&) = delete;
  SchedRuntime& operator=(const SchedRuntime&) = delete;

  std::vector<std::string> shut_down(std::chrono::nanoseconds deadline) {
    is_ended_ = true;
    ramie::sched::exchange_entered(before_);
    auto stragglers = scheduler_->shut_down(deadline);
    io_->shut_down();
    if (scheduler_->has_leaked()) (void)io_.release();
    return stragglers;
  }

  ramie::sched::Scheduler& scheduler() noexcept { return *scheduler_; }

  std::uint64_t sum(ramie::sched::Counter ramie::sched::WorkerMetrics::* counter) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < scheduler_->workers().size(); ++i)
      total += (scheduler_->workers()[i].metrics().*counter).get();
    return total;
  }

  // Runs a function in a fiber; the test's thread joins it.
  template <class F>
  auto run(F&& function) {
    return ramie::spawn(std::forward<F>(function)).join();
  }

 private:
  std::unique_ptr<ramie::io::Handle> io_;
  ramie::sched::Scheduler::Owner scheduler_;
  ramie::sched::Scheduler* before_ = nullptr;
  bool is_ended_ = false;
};

}  // namespace ramie_test
