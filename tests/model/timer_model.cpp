// Goal: a deadline ends its wait in time and never early, whatever moves, fires or forgets the
// entry at the same moment. A worker that sleeps for a later timer is woken.
// Method: the shipped TimerWheel with the shipped Wait::arm_timer() and Scheduler::notify_timer().
// The time stands still until a model moves it. The holder of the baton advances the wheels.
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
constexpr std::int64_t kLate = 1;  // ticks that a timer may be late
constexpr std::int64_t nanos(std::int64_t tick) { return 1 + tick * kTick; }  // the same

// Waits until the fiber has set `phase` and parked after that.
void until_parked(const FiberThread& fiber, const Atomic<int>& phase, int wanted) {
  while (phase.load() != wanted) yield();
  fiber.until_waits();
}

}  // namespace

TEST_CASE("Timer model: a wait that finds its entry in the wheel is looked at in time") {
  check_model("timer: an entry that is left alone", [] {
    Stage stage;
    Notify notify, never;
    Atomic<int> phase{0};
    FiberThread fiber([&] {
      (void)ramie::timeout_at(at(1), [&] { return notify.wait(); });
      phase.store(2);
      const auto ended = ramie::timeout_at(at(5), [&] { return never.wait(); });
      check(!ended && ended.error() == ramie::errc::timed_out, "not ended by the timer");
      check(stage.time() >= nanos(5), "ended too early");
    });
    fiber.until_waits();
    notify.notify_one();  // the entry stays in the wheel
    stage.set_time(nanos(2));
    stage.advance_timers();
    until_parked(fiber, phase, 2);
    stage.set_time(nanos(5 + kLate));
    stage.advance_timers();
  }, Mutants{241, 242, 13, 14, 182, 243, 244, 245},
     {.preemptions = 3, .spurious = true});
}

TEST_CASE("Timer model: a wait is ended by its waker or by the timer; no notification is lost") {
  check_model("timer: fire against wake and cancel", [] {
    Stage stage;
    Notify notify;
    FiberThread fiber([&] {
      if (ramie::timeout_at(at(1), [&] { return notify.wait(); })) return;
      const ramie::Shield shield;
      check(notify.wait().has_value(), "a shielded wait was ended");
    });
    fiber.until_waits();
    Thread waker([&] { notify.notify_one(); });
    Thread canceller([&] { fiber.cancel(); });
    stage.set_time(nanos(1));
    stage.advance_timers();
  }, Mutants{104}, {.preemptions = 2});
}

TEST_CASE("Timer model: an entry moves to another worker's wheel while its own one fires it") {
  check_model("timer: two wheels", [] {
    Stage stage(2);
    Notify notify, never;
    Atomic<int> phase{0};
    FiberThread* self = nullptr;
    FiberThread fiber([&] {
      (void)ramie::timeout_at(at(1), [&] { return notify.wait(); });
      self->move_to(1);
      phase.store(2);
      const auto ended = ramie::timeout_at(at(4), [&] { return never.wait(); });
      check(!ended && ended.error() == ramie::errc::timed_out, "not ended by the timer");
    });
    self = &fiber;
    fiber.until_waits();
    notify.notify_one();
    stage.set_time(nanos(2));
    stage.advance_timers();
    until_parked(fiber, phase, 2);
    stage.set_time(nanos(4 + kLate));
    stage.advance_timers();
  }, Mutants{246}, {.preemptions = 3});
}

TEST_CASE("Timer model: a fiber that ends takes its entry along, though the wheel just fires it") {
  check_model("timer: the end of a fiber", [] {
    Stage stage;
    Notify notify;
    Atomic<int> phase{0};
    FiberThread fiber([&] {
      (void)ramie::timeout_at(at(1), [&] { return notify.wait(); });
      phase.store(2);
      (void)ramie::timeout_at(at(5), [&] { return notify.wait(); });
    });
    fiber.until_waits();
    notify.notify_one();
    until_parked(fiber, phase, 2);
    Thread waker([&] { notify.notify_one(); });
    stage.set_time(nanos(2));
    stage.advance_timers();  // puts the entry back if it still waits
    fiber.join();
    check(!fiber.block().timer.is_linked(), "the entry of an ended fiber is in the wheel");
    check(stage.scheduler().timers().size() == 0, "the wheel counts an entry that it has not");
  }, Mutants{{kEntryIsLeft, "a fiber that ends leaves its entry in the wheel"},
             {kLooksUnlocked, "it looks without the lock whether the entry is in the wheel"}},
     {.preemptions = 3, .spurious = true});
}

namespace {

// An epoll without descriptors.
struct Sleep final : ramie::sched::Driver {
  Event event;

  void turn(ramie::base::Nanos, FiberList&) noexcept override {}
  void unpark() noexcept override { event.signal(); }
};

}  // namespace

TEST_CASE("Timer model: a worker that sleeps for a later timer is woken for an earlier one") {
  check_model("timer: the sleeper", [] {
    constexpr std::int64_t kFar = 50;
    Sleep driver;
    Stage stage(2, &driver);
    FiberThread* mover = nullptr;
    FiberThread late([&] { (void)ramie::sleep_until(at(100)); });
    FiberThread early([&] {
      mover->move_to(1);
      check(ramie::sleep_until(at(1)).has_value(), "nobody cancels that");
      late.cancel();
      driver.unpark();  // the model ends
    });
    mover = &early;
    // A worker. What is far in the future never happens.
    for (bool is_over = false; !is_over;) {
      const std::int64_t bound = stage.begin_sleep();
      if (bound < 0 || bound >= nanos(kFar)) {
        driver.event.wait();
      } else {
        stage.set_time(stage.time() + bound);
      }
      stage.end_sleep();
      stage.advance_timers();
      is_over = stage.time() > 1;
    }
    early.join();
  }, Mutants{261, 262, 263, 264}, {.preemptions = 2});
}
