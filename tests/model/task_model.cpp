// Goal: a task's result is taken or destroyed once. A join waits for the end and sees everything
// that the task did. A block is given back after its last use. A shutdown misses no task.
// Method: the shipped spawn(), join(), detach() and cancel(), on the shipped control blocks. Blocks
// are reused at once, so a late access damages the next task.
#include "tests/model/parcel.hpp"
#include "tests/model/stage.hpp"

#include "sched/scheduler.hpp"

#include <ramie/cancel.hpp>
#include <ramie/sync/notify.hpp>
#include <ramie/task.hpp>

#include <catch2/catch.hpp>

#include <optional>
#include <utility>

using namespace ramie::model;

TEST_CASE("Task model: a join waits for the end, takes the result and hears of the task's work") {
  check_model("task: join", [] {
    Stage stage;
    Cell<int> work{0};
    auto handle = ramie::spawn([&] {
      work = work + 1;
      return Parcel(7);
    });
    const auto parcel = handle.join();
    check(parcel.has_value() && parcel->open() == 7, "not the task's result");
    check(work == 1, "joined before the end");
  }, Mutants{191, 192, 193, 231}, {.preemptions = 3, .spurious = true});
}

TEST_CASE("Task model: the next task in a block is not spoilt by the end of the last one") {
  check_model("task: reuse of the block", [] {
    Stage stage;
    ramie::spawn([] {}).detach();
    auto handle = ramie::spawn([] { return Parcel(7); });
    const auto parcel = handle.join();
    check(parcel.has_value() && parcel->open() == 7, "not the task's result");
  }, Mutants{194, 198, 199}, {.preemptions = 2});
}

TEST_CASE("Task model: a fiber whose wait for the end is cancelled may join again") {
  check_model("task: a cancelled join", [] {
    Stage stage;
    auto handle = ramie::spawn([] { return Parcel(7); });
    FiberThread joiner([&] {
      auto parcel = handle.join();
      if (!parcel && parcel.error() == ramie::errc::canceled) {
        const ramie::Shield shield;
        parcel = handle.join();
      }
      check(parcel.has_value() && parcel->open() == 7, "not the task's result");
    });
    joiner.cancel();
  }, Mutants{193}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Task model: a result that nobody takes is destroyed once") {
  check_model("task: detach", [] {
    Stage stage;
    auto handle = ramie::spawn([] { return Parcel(7); });
    handle.detach();
  }, Mutants{195, 196, 197}, {.preemptions = 3, .spurious = true});
}

TEST_CASE("Task model: a cancel ends the task's wait, finds it ended, or keeps it from starting") {
  check_model("task: cancel", [] {
    Stage stage;
    ramie::sync::Notify never;
    bool has_run = false;
    auto handle = ramie::spawn([&] {
      has_run = true;
      return never.wait();
    });
    handle.cancel();
    const auto ended = handle.join();
    check(!ended, "the wait of a cancelled task succeeded");
    check(has_run == (ended.error() == ramie::errc::canceled), "a body that did not run waited");
  }, Mutants{9, 198},
     {.preemptions = 3});
}

TEST_CASE("Task model: a handle may outlive the runtime, and the last block ends it") {
  check_model("task: the last handle", [] {
    std::optional<ramie::JoinHandle<Parcel>> handle;
    std::optional<Thread> owner;
    {
      Stage stage;
      handle = ramie::spawn([] { return Parcel(7); });
      stage.join();
      owner.emplace([&] { handle.reset(); });
    }
  }, Mutants{321, 322}, {.preemptions = 3});
}

TEST_CASE("Task model: a task that is made while the runtime ends is refused or cancelled") {
  check_model("task: spawn against shutdown", [] {
    Stage stage;
    ramie::sync::Notify never;
    Thread spawner([&] {
      const PlainThread me;
      auto handle = ramie::spawn([&] { return never.wait(); });
      const auto ended = handle.join();
      check(!ended, "the wait of a task succeeded");
    });
    stage.begin_shutdown();
    spawner.join();
  }, Mutants{323, 324, 331}, {.preemptions = 3});
}

TEST_CASE("Task model: a join of a task that is left behind ends, and a later one has its result") {
  check_model(
      "task: left behind",
      [] {
        Stage stage;
        Event may_end;
        auto handle = ramie::spawn([&] {
          may_end.wait();
          return Parcel(7);
        });
        Thread leaver([&] {
          stage.scheduler().for_each_fiber([](ramie::sched::Fiber& one) { one.leave_behind(); });
        });
        const auto none = handle.join();
        check(!none && none.error() == ramie::errc::runtime_gone, "it cannot have ended");
        leaver.join();
        may_end.signal();
        stage.join();
        const auto parcel = handle.join();
        check(parcel.has_value() && parcel->open() == 7, "not the task's result");
      },
      Mutants{434, 435, 436},
      {.preemptions = 3, .spurious = true});
}

TEST_CASE("Task model: a task that is left behind while it ends is joined as ever") {
  check_model(
      "task: left behind at its end",
      [] {
        Stage stage;
        auto handle = ramie::spawn([] { return Parcel(7); });
        Thread leaver([&] {
          stage.scheduler().for_each_fiber([](ramie::sched::Fiber& one) { one.leave_behind(); });
        });
        auto parcel = handle.join();
        check(parcel || parcel.error() == ramie::errc::runtime_gone, "nothing else ends that wait");
        stage.join();
        if (!parcel) parcel = handle.join();
        check(parcel.has_value() && parcel->open() == 7, "not the task's result");
        leaver.join();
      },
      Mutants{436},
      {.preemptions = 3});
}
