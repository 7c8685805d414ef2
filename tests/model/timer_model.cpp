// Goal: a deadline ends its wait in time, never early, whatever moves, fires or forgets the entry
// at the same moment; and a sleeper that waits for a later timer is woken.
// Method: the shipped TimerWheel with the shipped Wait::arm_timer() and Scheduler::notify_timer().
// The time stands still until a model moves it; whoever holds the baton advances the wheels.
#include "tests/model/stage.hpp"

#include "sched/scheduler.hpp"
#include "sched/wait.hpp"

#include <ramie/cancel.hpp>
#include <ramie/sync/notify.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::sched::FiberList;
using ramie::sync::Notify;

namespace {

constexpr std::int64_t kTick = std::int64_t{1} << ramie::sched::TimerSet::kTickShift;

std::chrono::steady_clock::time_point at(std::int64_t tick) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(1 + tick * kTick));
}

// The worker that drives: looks at the wheels.
void advance(Stage& stage) {
  FiberList due;
  stage.scheduler().timers().advance(due);
  stage.scheduler().submit_batch(due);
}

// Drives until `is_over`, as workers do: it sleeps until the next timer.
template <class IsOver>
void drive(Stage& stage, IsOver&& is_over) {
  while (!is_over()) {
    const auto next = stage.scheduler().timers().next();
    if (next != ramie::sched::kNoTick) {
      const auto due = stage.scheduler().timers().to_instant(next).time_since_epoch().count();
      if (stage.time() < due) stage.set_time(due);
    }
    advance(stage);
    yield();
  }
}

}  // namespace

TEST_CASE("Timer model: a sleep ends when its time has come, not before") {
  check_model("timer: sleep", [] {
    Stage stage;
    Atomic<bool> is_over{false};
    FiberThread sleeper([&] {
      for (const std::int64_t tick : {1, 6}) {
        check(ramie::sleep_until(at(tick)).has_value(), "nobody cancels that");
        check(stage.time() >= at(tick).time_since_epoch().count(), "it woke too early");
      }
      is_over.store(true);
    });
    drive(stage, [&] { return is_over.load(); });
  }, {{241, "fire() reads the word before it says that the wheel will not look again"},
      {242, "an entry that is put back is counted, but not linked"}}, {.preemptions = 2});
}
