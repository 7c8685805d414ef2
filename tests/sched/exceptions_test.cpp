// Exceptions belong to the fiber. They survive waits inside catch blocks and destructors, and
// changes of thread, and never appear in another fiber.
#include "tests/support/child.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using ramie::JoinHandle;
using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::Watchdog;

namespace {

void wait_somehow(int i) {
  if (i % 2 == 0) ramie::yield_now();
  else (void)ramie::sleep_for(std::chrono::microseconds(i % 50));
}

// Throws `depth` nested exceptions, waits in every catch block, and checks the current exception.
int nested(int fiber, int depth) {
  if (depth == 0) return 0;
  const std::string text = std::to_string(fiber) + "/" + std::to_string(depth);
  int wrong = 0;
  try {
    wait_somehow(fiber + depth);
    throw std::runtime_error(text);
  } catch (const std::runtime_error& error) {
    wait_somehow(fiber + depth);
    wrong += error.what() != text;
    wrong += std::uncaught_exceptions() != 0;
    wrong += nested(fiber, depth - 1);
    wait_somehow(fiber + depth + 1);
    try {
      throw;  // the current one is still ours
    } catch (const std::runtime_error& again) {
      wrong += again.what() != text;
    }
  }
  return wrong;
}

struct WaitsInDestructor {
  int& seen;
  int fiber;
  ~WaitsInDestructor() {
    for (int i = 0; i < 3; ++i) {
      wait_somehow(fiber + i);
      if (std::uncaught_exceptions() == 1) ++seen;
    }
  }
};

}  // namespace

// Goal: 200 fibers that throw, catch and rethrow across waits do not mix up their exceptions.
TEST_CASE("Exceptions: waiting in catch blocks keeps each fiber's own", "[sched][exceptions]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  std::vector<JoinHandle<int>> fibers;
  for (int i = 0; i < 200; ++i)
    fibers.push_back(spawn({.pinned = i % 5 == 0}, [i] {
      int wrong = 0;
      for (int round = 0; round < 5; ++round) wrong += nested(i + round, 4);
      return wrong;
    }));
  int wrong = 0;
  for (auto& fiber : fibers) wrong += fiber.join().value_or(1000);
  CHECK(wrong == 0);
}

TEST_CASE("Exceptions: a wait in a destructor during unwinding; the count stays with its fiber",
          "[sched][exceptions]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  std::vector<JoinHandle<int>> throwing;
  std::vector<JoinHandle<int>> calm;
  for (int i = 0; i < 100; ++i) {
    throwing.push_back(spawn([i] {
      int seen = 0;
      std::string text;
      try {
        const WaitsInDestructor waits{seen, i};
        throw std::runtime_error(std::to_string(i));
      } catch (const std::runtime_error& error) {
        text = error.what();
      }
      return seen == 3 && text == std::to_string(i) && std::uncaught_exceptions() == 0 ? 1 : 0;
    }));
    calm.push_back(spawn([i] {
      int seen = 0;
      for (int round = 0; round < 10; ++round) {
        wait_somehow(i + round);
        seen += std::uncaught_exceptions();
        seen += std::current_exception() != nullptr;
      }
      return seen;
    }));
  }
  int good = 0;
  for (auto& fiber : throwing) good += fiber.join().value_or(0);
  CHECK(good == 100);
  for (auto& fiber : calm) CHECK(fiber.join() == 0);
}

// Goal: `throw;` after the fiber has changed its thread rethrows its own exception. Method: wait in
// the catch block until another worker runs the fiber.
TEST_CASE("Exceptions: rethrown on another thread", "[sched][exceptions]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  struct Outcome {
    bool has_moved;
    bool is_ours;
  };
  int moved = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<JoinHandle<Outcome>> fibers;
    for (int i = 0; i < 4; ++i)
      fibers.push_back(spawn([i] {
        Outcome outcome{false, false};
        try {
          try {
            throw i;
          } catch (int) {
            const int start = ramie::current::worker_index();
            for (int n = 0; n < 50 && !outcome.has_moved; ++n) {
              (void)ramie::sleep_for(10us);
              outcome.has_moved = ramie::current::worker_index() != start;
            }
            throw;
          }
        } catch (int value) {
          outcome.is_ours = value == i;
        }
        return outcome;
      }));
    for (auto& fiber : fibers) {
      const auto outcome = fiber.join();
      REQUIRE(outcome.has_value());
      CHECK(outcome->is_ours);
      moved += outcome->has_moved;
    }
  }
  CHECK(moved > 0);
}

TEST_CASE("Exceptions: exception_ptr and join carry one from fiber to fiber to thread",
          "[sched][exceptions]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  auto outer = spawn([] {
    auto inner = spawn([] {
      (void)ramie::sleep_for(100us);
      throw std::length_error("inner");
    });
    try {
      (void)inner.join();
    } catch (const std::length_error&) {
      (void)ramie::sleep_for(100us);
      std::throw_with_nested(std::runtime_error("outer"));
    }
  });
  try {
    (void)outer.join();
    FAIL("join() did not throw");
  } catch (const std::runtime_error& error) {
    CHECK(std::string(error.what()) == "outer");
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::length_error);
  }
}

TEST_CASE("B21 a detached fiber's exception is reported with name, and the process goes on",
          "[sched][exceptions]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    SchedRuntime runtime(2);
    spawn({.name = "lost one"}, [] { throw std::runtime_error("what it said"); }).detach();
    spawn([] { throw 5; }).detach();
    {
      auto dropped = spawn([] {
        (void)ramie::sleep_for(1ms);
        throw std::logic_error("dropped handle");
      });
    }
    ramie_test::spin_until([&] { return runtime.scheduler().live() == 0; });
    const bool good = spawn([] { return 1; }).join() == 1;
    (void)runtime.shut_down(5s);
    ::_exit(good ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("'lost one'"));
  CHECK(end.says("what it said"));
  CHECK(end.says("no std::exception"));
  CHECK(end.says("dropped handle"));
}

TEST_CASE("RAMIE_UNHANDLED=abort: a detached fiber's exception ends the process where it is thrown",
          "[sched][exceptions]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    auto options = ramie_test::with_workers(1);
    options.abort_on_unhandled = true;
    SchedRuntime runtime(options);
    const bool joined = [] {
      try {
        (void)spawn([] { throw std::runtime_error("joined"); }).join();
      } catch (const std::runtime_error&) {
        return true;  // a joiner waits, so it is not unhandled
      }
      return false;
    }();
    if (!joined) ::_exit(1);
    std::atomic<bool> go{false};
    spawn([&go] {
      while (!go) ramie::yield_now();
      throw std::runtime_error("nobody joins");
    }).detach();
    go = true;
    ramie_test::spin_until([] { return false; });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("nobody joins"));
}
