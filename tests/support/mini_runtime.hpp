// A scheduler with a mock driver, entered by the test's thread. It tests what is below the runtime.
// ramie::spawn() starts fibers; the test's thread joins them.
#pragma once

#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/mock_driver.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace ramie_test {

class MiniRuntime {
 public:
  explicit MiniRuntime(std::size_t workers) : MiniRuntime(with_workers(workers)) {}

  explicit MiniRuntime(ramie::sched::SchedulerOptions options)
      : scheduler_(new ramie::sched::Scheduler(std::move(options), {&driver_})) {
    ramie::or_throw(scheduler_->start());
    before_ = ramie::sched::exchange_entered(scheduler_.get());
  }

  ~MiniRuntime() {
    ramie::sched::exchange_entered(before_);
    const std::vector<std::string> stragglers = scheduler_->shut_down(std::chrono::seconds(10));
    if (stragglers.empty()) return;
    for (const std::string& straggler : stragglers)
      (void)std::fprintf(stderr, "straggler: %s\n", straggler.c_str());
    std::abort();
  }

  MiniRuntime(const MiniRuntime&) = delete;
  MiniRuntime& operator=(const MiniRuntime&) = delete;

  ramie::sched::Scheduler& scheduler() noexcept { return *scheduler_; }

 private:
  static ramie::sched::SchedulerOptions with_workers(std::size_t workers) {
    ramie::sched::SchedulerOptions options;
    options.workers = workers;
    options.chaos = chaos_seed();
    return options;
  }

  MockDriver driver_;
  ramie::sched::Scheduler::Owner scheduler_;
  ramie::sched::Scheduler* before_ = nullptr;
};

}  // namespace ramie_test
