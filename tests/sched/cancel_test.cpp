// Cancel scopes: deadlines, tokens, shields, JoinHandle::cancel, and how they nest.
#include "tests/support/sched_runtime.hpp"

#include <ramie/cancel.hpp>
#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <optional>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::CancellationToken;
using ramie::errc;
using ramie::JoinHandle;
using ramie::Result;
using ramie::Shield;
using ramie::spawn;
using ramie::timeout;
using ramie::until;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

Result<void> long_sleep() { return ramie::sleep_for(1h); }

bool is(const Result<void>& result, errc expected) { return !result && result.error() == expected; }

}  // namespace

TEST_CASE("timeout: ends the wait inside, and only that", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    int n = 0;
    n += is(timeout(2ms, long_sleep), errc::timed_out);
    n += ramie::sleep_for(1ms).has_value();  // afterwards everything is as before
    n += timeout(1h, [] { return ramie::sleep_for(1ms); }).has_value();
    n += timeout(1h, [] { return 5; }) == 5;
    n += timeout(1h, [] {}).has_value();
    return n;
  });
  CHECK(good == 5);
}

TEST_CASE("timeout of a function without Result: the verdict tells of a refused wait",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    int n = 0;
    n += is(timeout(1ms, [] { (void)long_sleep(); }), errc::timed_out);
    const auto value = timeout(1ms, [] {
      (void)long_sleep();
      return 7;
    });
    n += !value && value.error() == errc::timed_out;
    const CancellationToken token;
    token.cancel();
    n += is(until(token, [] { (void)long_sleep(); }), errc::canceled);
    n += until(token, [] { return 3; }) == 3;  // there was no wait, so nothing was ended
    return n;
  });
  CHECK(good == 4);
}

TEST_CASE("timeout nests: the earliest wins, whichever it is", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  struct Seen {
    Result<void> inner;
    Result<void> after;
    Result<void> outer;
  };
  const auto nested = [](auto first, auto second) {
    return [first, second] {
      Seen seen;
      seen.outer = timeout(first, [&] {
        seen.inner = timeout(second, long_sleep);
        seen.after = ramie::sleep_for(0s);
        return seen.after;
      });
      return seen;
    };
  };
  const auto outer_first = runtime.run(nested(2ms, 1h));
  REQUIRE(outer_first.has_value());
  CHECK(is(outer_first->inner, errc::timed_out));
  CHECK(is(outer_first->outer, errc::timed_out));
  const auto inner_first = runtime.run(nested(1h, 2ms));
  REQUIRE(inner_first.has_value());
  CHECK(is(inner_first->inner, errc::timed_out));
  CHECK(inner_first->after.has_value());
  CHECK(inner_first->outer.has_value());
  const auto deep = runtime.run([] {
    return timeout(1h, [] {
      return timeout(2h, [] { return timeout(2ms, [] { return timeout(3h, long_sleep); }); });
    });
  });
  CHECK(is(deep, errc::timed_out));
}

TEST_CASE("until: a token ends the waits inside, now and later", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const CancellationToken token;
  std::atomic<bool> is_in{false};
  auto waiting = spawn([&] {
    const Result<void> first = until(token, [&] {
      is_in = true;
      return long_sleep();
    });
    const Result<void> second = until(token, long_sleep);
    return is(first, errc::canceled) && is(second, errc::canceled) &&
           ramie::sleep_for(1ms).has_value();
  });
  spin_until([&] { return is_in.load(); });
  std::this_thread::sleep_for(1ms);
  token.cancel();
  CHECK(waiting.join() == true);
}

TEST_CASE("timeout and until in each other: each error keeps its name", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto good = runtime.run([] {
    int n = 0;
    const CancellationToken token;
    const CancellationToken done;
    done.cancel();
    n += is(timeout(1h, [&] { return until(done, long_sleep); }), errc::canceled);
    n += is(until(done, [&] { return timeout(1h, long_sleep); }), errc::canceled);
    n += is(timeout(1ms, [&] { return until(token, long_sleep); }), errc::timed_out);
    n += is(until(token, [&] { return timeout(1ms, long_sleep); }), errc::timed_out);
    n += ramie::current::check().has_value();
    return n;
  });
  CHECK(good == 5);
}

TEST_CASE("Shield: hides cancel, deadline and tokens from outside; what is inside still works",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::atomic<bool> go{false};
  std::atomic<bool> is_in{false};
  auto fiber = spawn([&] {
    int n = 0;
    is_in = true;
    while (!go) ramie::yield_now();
    n += is(long_sleep(), errc::canceled);
    {
      const Shield shield;
      n += ramie::sleep_for(2ms).has_value();
      n += ramie::current::check().has_value();
      n += is(timeout(1ms, long_sleep), errc::timed_out);
      const CancellationToken token;
      token.cancel();
      n += is(until(token, long_sleep), errc::canceled);
      n += ramie::sleep_for(1ms).has_value();
    }
    n += is(long_sleep(), errc::canceled);
    return n;
  });
  spin_until([&] { return is_in.load(); });
  fiber.cancel();
  go = true;
  CHECK(fiber.join() == 7);

  const auto deadline = runtime.run([] {
    bool held = false;
    const Result<void> outer = timeout(2ms, [&] {
      {
        const Shield shield;
        held = ramie::sleep_for(10ms).has_value();
      }
      return long_sleep();
    });
    return held && is(outer, errc::timed_out);
  });
  CHECK(deadline == true);

  const CancellationToken token;
  auto hidden = spawn([&] {
    bool held = false;
    const Result<void> outer = until(token, [&] {
      {
        const Shield shield;
        token.cancel();
        held = ramie::sleep_for(1ms).has_value() &&
               timeout(1ms, long_sleep).error() == errc::timed_out;
      }
      return long_sleep();
    });
    return held && is(outer, errc::canceled);
  });
  CHECK(hidden.join() == true);
}

TEST_CASE("Shield: a cancel that arrives while the shielded wait is parked does not end it",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> is_in{false};
    ramie::sync::Notify bell;
    auto fiber = spawn([&] {
      bool held = false;
      {
        const Shield shield;
        is_in = true;
        held = bell.wait().has_value();
      }
      return held && is(long_sleep(), errc::canceled);
    });
    spin_until([&] { return is_in.load(); });
    for (int i = 0; i < 3; ++i) fiber.cancel();
    bell.notify_one();
    REQUIRE(fiber.join() == true);
  }
}

// Goal: a cancel between the entry check and the arming of a wait is not lost. Method: race the
// two; a lost cancel leaves the fiber asleep for an hour, and the watchdog sees it.
TEST_CASE("F7 a cancel that races with a wait is never lost", "[sched][cancel]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  std::mt19937 random(1);
  int canceled = 0;
  for (int round = 0; round < 2000; ++round) {
    std::atomic<bool> is_in{false};
    const CancellationToken token;
    auto fiber = spawn([&is_in, &token, round] {
      is_in = true;
      return round % 2 == 0 ? long_sleep() : until(token, long_sleep);
    });
    while (!is_in) {
    }
    for (auto n = random() % 200; n != 0; --n) ramie::base::cpu_pause();
    if (round % 2 == 0) fiber.cancel();
    else token.cancel();
    canceled += is(fiber.join(), errc::canceled);
  }
  CHECK(canceled == 2000);
}

// Goal: a value that arrives at the same instant as the deadline wins, and is never lost.
TEST_CASE("B78 timeout: a value at the instant of the deadline is returned or stays",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const auto lost = runtime.run([] {
    int wrong = 0;
    for (int round = 0; round < 300; ++round) {
      auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1);
      const auto deadline = std::chrono::steady_clock::now() + 100us;
      auto sending = spawn([out = std::move(sender), deadline, round]() mutable {
        (void)ramie::sleep_until(deadline);
        (void)out.send(int{round});
      });
      const auto got = ramie::timeout_at(deadline, [&] { return receiver.recv(); });
      if (got) wrong += *got != round;
      else wrong += got.error() != errc::timed_out || receiver.recv() != round;
      (void)sending.join();
    }
    const auto passed = std::chrono::steady_clock::now() - 1s;
    auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1);
    (void)sender.send(1);
    wrong += ramie::timeout_at(passed, [] { return 4; }) != 4;
    return wrong;
  });
  CHECK(lost == 0);
}

TEST_CASE("A cancelled fiber may still yield, and sees the reason in check()", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto good = runtime.run([] {
    std::atomic<bool> has_begun{false};
    auto fiber = spawn([&has_begun] {
      has_begun = true;
      while (ramie::current::check()) ramie::yield_now();
      ramie::yield_now();
      return ramie::current::check().error() == errc::canceled;
    });
    while (!has_begun) ramie::yield_now();
    fiber.cancel();
    return fiber.join() == true;
  });
  CHECK(good == true);
}

TEST_CASE("timeout and until outside a fiber have no effect", "[sched][cancel]") {
  const Watchdog watchdog;
  const CancellationToken token;
  token.cancel();
  CHECK(until(token, [] { return 1; }) == 1);
  CHECK(timeout(0s, [] { return 2; }) == 2);
  CHECK(token.wait().has_value());
}

// --- tokens

TEST_CASE("CancellationToken: children are cancelled with their parent, not the other way",
          "[sched][cancel]") {
  const Watchdog watchdog;
  const CancellationToken parent;
  const CancellationToken child = parent.child();
  const CancellationToken grandchild = child.child();
  const CancellationToken sibling = parent.child();
  child.cancel();
  CHECK(child.is_canceled());
  CHECK(grandchild.is_canceled());
  CHECK_FALSE(parent.is_canceled());
  CHECK_FALSE(sibling.is_canceled());
  parent.cancel();
  parent.cancel();
  CHECK(parent.is_canceled());
  CHECK(sibling.is_canceled());
  CHECK(parent.child().is_canceled());
  CHECK(grandchild.child().is_canceled());
}

TEST_CASE("CancellationToken: a child outlives its parent's handle, a parent its children's",
          "[sched][cancel]") {
  const Watchdog watchdog;
  std::optional<CancellationToken> parent(std::in_place);
  const CancellationToken child = parent->child();
  parent.reset();
  CHECK_FALSE(child.is_canceled());
  child.cancel();
  CHECK(child.is_canceled());
  const CancellationToken other;
  for (int i = 0; i < 100; ++i) CHECK_FALSE(other.child().is_canceled());
  other.cancel();
  CancellationToken moved = std::move(*std::make_optional(other));
  CHECK(moved.is_canceled());
}

TEST_CASE("CancellationToken: one cancel wakes all waiters, fibers and threads, any number",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  for (const int waiters : {1, 31, 32, 33, 64, 65, 200}) {
    const CancellationToken token;
    std::atomic<int> woke{0};
    std::atomic<int> in{0};
    std::vector<JoinHandle<void>> fibers;
    std::vector<std::thread> threads;
    for (int i = 0; i < waiters; ++i)
      fibers.push_back(spawn([&] {
        ++in;
        woke += token.wait().has_value();
      }));
    for (int i = 0; i < std::min(waiters, 40); ++i)
      threads.emplace_back([&] {
        ++in;
        woke += token.wait().has_value();
      });
    const int all = waiters + std::min(waiters, 40);
    spin_until([&] { return in == all; });
    token.cancel();
    for (auto& fiber : fibers) CHECK(fiber.join().has_value());
    for (std::thread& thread : threads) thread.join();
    CHECK(woke == all);
  }
}

TEST_CASE("CancellationToken: one cancel ends any number of until()", "[sched][cancel]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  SchedRuntime runtime(workers);
  const CancellationToken token;
  std::vector<JoinHandle<bool>> fibers;
  for (int i = 0; i < 300; ++i)
    fibers.push_back(spawn([child = token.child(), token, i] {
      return is(until(i % 2 == 0 ? child : token, long_sleep), errc::canceled);
    }));
  std::this_thread::sleep_for(2ms);
  std::thread canceling([&] { token.cancel(); });
  token.cancel();
  canceling.join();
  int good = 0;
  for (auto& fiber : fibers) good += fiber.join() == true;
  CHECK(good == 300);
}

// Goal: scopes may begin and end while their token is being cancelled. Method: many short ones.
TEST_CASE("CancellationToken: a cancel that races with scopes that end hurts nobody",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  int good = 0;
  for (int round = 0; round < 200; ++round) {
    const CancellationToken token;
    std::vector<JoinHandle<bool>> fibers;
    for (int i = 0; i < 8; ++i)
      fibers.push_back(spawn([token] {
        for (;;) {
          const auto child = token.child();
          const auto slept = until(child, [] { return ramie::sleep_for(5us); });
          if (!slept) return slept.error() == errc::canceled && ramie::sleep_for(5us).has_value();
        }
      }));
    std::this_thread::sleep_for(100us);
    token.cancel();
    for (auto& fiber : fibers) good += fiber.join() == true;
  }
  CHECK(good == 1600);
}

TEST_CASE("CancellationToken: a waiter's own cancel and deadline end its wait", "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const CancellationToken token;
  CHECK(
      is(runtime.run([&] { return timeout(1ms, [&] { return token.wait(); }); }), errc::timed_out));
  auto fiber = spawn([&] { return token.wait(); });
  fiber.cancel();
  const auto ended = fiber.join();
  CHECK((is(ended, errc::canceled) || is(ended, errc::task_canceled)));
  CHECK_FALSE(token.is_canceled());
}

// Goal: a chain of tokens may be longer than any stack is deep. Method: the smallest stack.
TEST_CASE("CancellationToken: a chain of 200,000 is cancelled and dropped in a loop",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const bool is_canceled = GENERATE(false, true);
  const auto fiber = [is_canceled] {
    const CancellationToken root;
    CancellationToken leaf = root;
    for (int i = 0; i < 200'000; ++i) leaf = leaf.child();
    if (is_canceled) root.cancel();
    return leaf.is_canceled();
  };
  CHECK(spawn({.stack_size = 1}, fiber).join() == is_canceled);
}

TEST_CASE("CancellationToken: a wide and deep tree is cancelled whole, and no other",
          "[sched][cancel]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  const CancellationToken root;
  const CancellationToken other = root.child();
  std::vector<CancellationToken> tokens{other.child()};
  for (std::size_t i = 0; i < 2'000; ++i) tokens.push_back(tokens[i / 2].child());
  std::vector<JoinHandle<ramie::Result<void>>> waiters;
  for (std::size_t i = 0; i < tokens.size(); i += 100)
    waiters.push_back(spawn([token = tokens[i]] { return token.wait(); }));
  other.cancel();
  for (auto& waiter : waiters) CHECK(waiter.join().has_value());
  for (const auto& token : tokens) CHECK(token.is_canceled());
  CHECK_FALSE(root.is_canceled());
}
