// A runtime of two workers with the driver and the signal extension, and nothing else.
#pragma once

#include <ramie/signal.hpp>
#include <ramie/task.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "io/handle.hpp"
#include "sched/base/annotate.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "signal/handle.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/eventually.hpp"

namespace ramie::test {

using namespace std::chrono_literals;
using ramie_test::comes_true;

class Runtime {
 public:
  Runtime()
      : io_(or_throw(io::Handle::create(1))),
        signals_(or_throw(signal::Handle::create(*io_))),
        scheduler_(new sched::Scheduler(options(), io_->as_shards())) {
    scheduler_->env.set(*io_);
    scheduler_->env.set(*signals_);
    or_throw(scheduler_->start());
  }
  ~Runtime() {
    (void)scheduler_->shut_down(10s);
    signals_->shut_down();
    io_->shut_down();
    scheduler_.reset();
  }

  // In a fiber of this runtime.
  template <class F>
  auto spawn(F&& function) {
    const Entered entered(*scheduler_);
    return ramie::spawn(std::forward<F>(function));
  }
  // TSan delays a handler while the thread that got the signal is in a futex call of ours. So under
  // TSan this thread sleeps in calls that TSan knows.
  template <class F>
  auto run(F&& function) {
    auto handle = spawn(std::forward<F>(function));
    while (RAMIE_TSAN != 0 && !handle.is_finished()) std::this_thread::sleep_for(1ms);
    return handle.join();
  }
  // On this thread, inside the runtime.
  template <class F>
  auto enter(F&& function) {
    const Entered entered(*scheduler_);
    return std::forward<F>(function)();
  }
  signal::Handle& signals() { return *signals_; }

 private:
  struct Entered {
    explicit Entered(sched::Scheduler& scheduler) : before(sched::exchange_entered(&scheduler)) {}
    ~Entered() { sched::exchange_entered(before); }
    sched::Scheduler* before;
  };
  static sched::SchedulerOptions options() {
    sched::SchedulerOptions options;
    options.workers = 2;
    options.chaos = ramie_test::chaos_seed();
    return options;
  }

  std::unique_ptr<io::Handle> io_;
  std::unique_ptr<signal::Handle> signals_;
  sched::Scheduler::Owner scheduler_;
};

}  // namespace ramie::test
