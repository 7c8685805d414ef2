// Scope: its fibers end before the block that started them, whatever ends the block.
#include "tests/support/child.hpp"
#include "tests/support/pattern.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::on_failure;
using ramie::Result;
using ramie::Scope;
using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

Result<void> long_sleep() { return ramie::sleep_for(1h); }

// How many seconds after the cancel each line about drain() was printed.
std::vector<double> drains_told(const std::string& text) {
  std::vector<double> times;
  for (const auto& time : ramie_test::groups(
           text, "Scope::drain\\(\\) waits for 7 of its fibers, cancelled ([0-9.]+) s ago: fiber "))
    times.push_back(std::stod(time));
  return times;
}

}  // namespace

TEST_CASE("Scope: join waits for all children, wherever they were spawned", "[sched][scope]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  const auto ran = runtime.run([] {
    std::atomic<int> count{0};
    Scope scope;
    for (int i = 0; i < 100; ++i)
      (void)scope.spawn([&] {
        (void)scope.spawn([&count] { ++count; });  // a child may start siblings
        (void)ramie::sleep_for(100us);
        ++count;
      });
    const bool joined = scope.join().has_value();
    const int after_join = count;
    const std::size_t left = scope.size();
    (void)scope.spawn([&count] { ++count; });  // and it may be used again
    return joined && left == 0 && after_join == 200 && scope.join().has_value() && count == 201;
  });
  CHECK(ran == true);
}

TEST_CASE("Scope: its end joins", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto ran = runtime.run([] {
    int count = 0;
    {
      Scope scope;
      (void)scope.spawn([&count] {
        (void)ramie::sleep_for(2ms);
        ++count;
      });
    }
    return count;
  });
  CHECK(ran == 1);
}

TEST_CASE("Scope: a child's exception cancels its siblings and is thrown by join()",
          "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto seen = runtime.run([] {
    std::atomic<int> in{0};
    std::atomic<int> canceled{0};
    std::string what;
    std::atomic<int> late_ran{0};
    Scope scope;
    for (int i = 0; i < 10; ++i)
      (void)scope.spawn([&] {
        ++in;
        canceled += long_sleep().error() == errc::canceled;
      });
    while (in < 10) (void)ramie::sleep_for(1ms);
    (void)scope.spawn([] { throw std::runtime_error("planned"); });
    try {
      (void)scope.join();
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    (void)scope.spawn([&late_ran] { ++late_ran; });  // a cancelled Scope starts no child
    const bool joined = scope.join().has_value();
    return what == "planned" && canceled == 10 && late_ran == 0 && joined;
  });
  CHECK(seen == true);
}

TEST_CASE("Scope: with `report` a child's exception is printed and the others run on",
          "[sched][scope]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    SchedRuntime runtime(2);
    const auto good = runtime.run([] {
      std::atomic<int> ran{0};
      Scope scope(on_failure::report);
      (void)scope.spawn({.name = "the bad one"}, [] { throw std::runtime_error("planned"); });
      (void)ramie::sleep_for(1ms);
      for (int i = 0; i < 10; ++i) (void)scope.spawn([&ran] { ++ran; });
      return scope.join().has_value() && ran == 10;
    });
    (void)runtime.shut_down(5s);
    ::_exit(good == true ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("'the bad one'"));
  CHECK(end.says("planned"));
}

TEST_CASE("Scope: an exception that passes cancels the children, and they end first",
          "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::atomic<int> in{0};
  std::atomic<int> canceled{0};
  auto fiber = spawn([&] {
    Scope scope;
    for (int i = 0; i < 5; ++i)
      (void)scope.spawn([&] {
        ++in;
        canceled += long_sleep().error() == errc::canceled;
      });
    while (in < 5) (void)ramie::sleep_for(1ms);
    throw std::out_of_range("passing");
  });
  CHECK_THROWS_AS(fiber.join(), std::out_of_range);
  CHECK(canceled == 5);
}

TEST_CASE("Scope: a cancelled parent cancels its children and waits for them", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::atomic<int> in{0};
  std::atomic<int> canceled{0};
  std::atomic<int> when_joined{-1};
  auto parent = spawn([&] {
    {
      Scope scope;
      for (int i = 0; i < 5; ++i)
        (void)scope.spawn([&] {
          ++in;
          canceled += long_sleep().error() == errc::canceled;
        });
    }
    when_joined = canceled.load();
  });
  spin_until([&] { return in == 5; });
  parent.cancel();
  CHECK(parent.join().has_value());
  CHECK(when_joined == 5);
}

TEST_CASE("Scope: join() can be cancelled and repeated; the children run on", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    const ramie::CancellationToken may_end;
    std::atomic<bool> ended{false};
    Scope scope;
    (void)scope.spawn([&] { ended = may_end.wait().has_value(); });
    const auto first = ramie::timeout(1ms, [&] { return scope.join(); });
    const bool was_running = !ended && scope.size() == 1;
    may_end.cancel();
    return !first && first.error() == errc::timed_out && was_running && scope.join().has_value() &&
           ended.load();
  });
  CHECK(good == true);
}

TEST_CASE("Scope: drain gives a grace, then cancels the rest and says how many", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    std::atomic<int> in{0};
    std::atomic<int> quick{0};
    std::atomic<int> canceled{0};
    Scope scope;
    for (int i = 0; i < 3; ++i)
      (void)scope.spawn([&] {
        ++in;
        canceled += long_sleep().error() == errc::canceled;
      });
    while (in < 3) (void)ramie::sleep_for(1ms);
    for (int i = 0; i < 7; ++i)
      (void)scope.spawn([&] { quick += ramie::sleep_for(2ms).has_value(); });
    const std::size_t left = scope.drain(1s);
    Scope empty;
    return left == 3 && quick == 7 && canceled == 3 && empty.drain(1h) == 0;
  });
  CHECK(good == true);
}

TEST_CASE("Scope: children inherit the deadline in force, not the shield", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    std::atomic<int> timed_out{0};
    std::atomic<int> grandchildren{0};
    const auto note = [](std::atomic<int>& count) {
      count += long_sleep().error() == errc::timed_out;
    };
    const Result<void> ended = ramie::timeout(5ms, [&] {
      Scope scope;
      for (int i = 0; i < 5; ++i) (void)scope.spawn(note, std::ref(timed_out));
      (void)scope.spawn([&] {
        Scope inner;
        (void)inner.spawn(note, std::ref(grandchildren));
        const ramie::Shield shield;  // otherwise our own end would cancel it at the same instant
        (void)inner.join();
      });
      const ramie::Shield shield;
      return scope.join();
    });
    // The Scope was opened outside the deadline, so a child spawned inside does not inherit it.
    Scope outside;
    std::atomic<bool> unbounded{false};
    (void)ramie::timeout(1ms, [&] {
      (void)outside.spawn([&] { unbounded = ramie::sleep_for(10ms).has_value(); });
      return long_sleep();
    });
    const bool joined = outside.join().has_value();
    return ended.has_value() && timed_out == 5 && grandchildren == 1 && joined && unbounded.load();
  });
  CHECK(good == true);
}

TEST_CASE("Scope: cancel() ends every child, now and later", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    std::atomic<int> canceled{0};
    std::atomic<int> ran{0};
    std::atomic<int> begun{0};
    Scope scope;
    for (int i = 0; i < 40; ++i)
      (void)scope.spawn([&] {
        ++begun;
        canceled += long_sleep().error() == errc::canceled;
      });
    while (begun < 40) ramie::yield_now();
    scope.cancel();
    scope.cancel();
    for (int i = 0; i < 5; ++i) (void)scope.spawn([&ran] { ++ran; });
    return scope.join().has_value() && canceled == 40 && ran == 0;
  });
  CHECK(good == true);
}

TEST_CASE("Scope: an exception that no join() asked for is reported, not lost", "[sched][scope]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    SchedRuntime runtime(1);
    (void)runtime.run([] {
      Scope scope;
      (void)scope.spawn([] { throw std::runtime_error("unasked"); });
    });
    (void)runtime.shut_down(5s);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("unasked"));
}

TEST_CASE("Scope: outside a runtime it says no_runtime; a plain thread may join one",
          "[sched][scope]") {
  const Watchdog watchdog;
  {
    Scope scope;
    CHECK(scope.spawn([] {}).error() == errc::no_runtime);
    CHECK(scope.join().has_value());
  }
  SchedRuntime runtime(2);
  std::atomic<int> ran{0};
  Scope scope;
  for (int i = 0; i < 50; ++i) CHECK(scope.spawn([&ran] { ++ran; }).has_value());
  CHECK(scope.join().has_value());
  CHECK(ran == 50);
}

// Goal: the last child's end and the owner's join meet in every order. Method: many tiny Scopes.
TEST_CASE("Scope: may be destroyed as soon as its last child has ended", "[sched][scope]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  const auto ran = runtime.run([] {
    std::atomic<int> count{0};
    for (int round = 0; round < 3000; ++round) {
      Scope scope;
      for (int i = 0; i < round % 4; ++i) (void)scope.spawn([&count] { ++count; });
      if (round % 3 == 0) ramie::yield_now();
    }
    return count.load();
  });
  CHECK(ran == 4500);
}

TEST_CASE("Scope: on a plain thread drain() keeps its grace, too", "[sched][scope]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  Scope scope;
  (void)scope.spawn([] { (void)ramie::sleep_for(5ms); });
  CHECK(scope.drain(1h) == 0);
  CHECK(scope.size() == 0);
  std::atomic<bool> is_in{false};
  std::atomic<bool> was_canceled{false};
  (void)scope.spawn([&] {
    is_in = true;
    was_canceled = long_sleep().error() == errc::canceled;
  });
  spin_until([&] { return is_in.load(); });
  CHECK(scope.drain(5ms) == 1);
  CHECK(scope.size() == 0);
  CHECK(was_canceled);
}

TEST_CASE("Scope: a child that does not end although it was cancelled is named, again and again",
          "[sched][scope]") {
  const auto end = ramie_test::run_in_child([] {
    SchedRuntime runtime(2);
    (void)runtime.run([] {
      std::atomic<int> in{0};
      const auto stay = [&in] {
        const ramie::Shield shield;
        ++in;
        (void)ramie::sleep_for(5s);
      };
      Scope drained;
      for (int i = 0; i < 7; ++i) (void)drained.spawn({.name = "slow"}, stay);
      auto canceled = spawn([&] {
        Scope scope;
        (void)scope.spawn({.name = "slower"}, stay);
      });
      while (in != 8) (void)ramie::sleep_for(1ms);
      canceled.cancel();
      (void)drained.drain(0ms);
      (void)canceled.join();
    });
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  const auto times = drains_told(end.messages);
  REQUIRE(times.size() == 2);
  CHECK(times[0] >= 1.0);
  CHECK(times[1] >= 3.0);
  CHECK(end.says("'slow': sleep"));
  CHECK(end.says("; and others"));
  CHECK(end.says("the end of a Scope waits for 1 of its fibers"));
  CHECK(end.says("'slower': sleep"));
}
