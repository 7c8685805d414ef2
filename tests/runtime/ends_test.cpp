// The end of a runtime, seen from outside: a call during the end or later gets an answer, and what
// is left behind disturbs no one.
#include "sched/base/annotate.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::runtime::Handle;
using ramie::runtime::Runtime;
using ramie_test::make_runtime;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;
using ramie_test::Watchdog;

namespace {

void must(bool good, const char* what) {
  if (good) return;
  (void)!::write(STDERR_FILENO, what, std::char_traits<char>::length(what));
  ::_exit(1);
}

template <class Condition>
void spin_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(50us);
}

// The error that block_on() throws.
template <class F>
std::error_code error_of_block_on(const Handle& handle, F&& function) {
  try {
    handle.block_on(std::forward<F>(function));
    return {};
  } catch (const std::system_error& error) {
    return error.code();
  }
}

// Makes every call that is allowed from outside, in a loop until the runtime has ended. Returns
// false after an answer that is neither a result nor runtime_gone.
bool ask_until_gone(const Handle& handle) {
  const auto is_good = [](const auto& result) {
    return result.has_value() || result.error() == errc::runtime_gone ||
           result.error() == errc::task_canceled;
  };
  for (bool is_gone = false; !is_gone;) {
    auto spawned = handle.spawn([] { return 1; }).join();
    if (!is_good(spawned)) return false;
    auto job = handle.spawn_blocking([] { return 1; }).join();
    if (!is_good(job)) return false;
    const auto blocked = error_of_block_on(handle, [] {});
    if (blocked && blocked != errc::runtime_gone) return false;
    (void)handle.metrics();
    {
      const auto entered = handle.enter();
      const auto inside = ramie::spawn([] { return 1; }).join();
      if (!is_good(inside) && inside.error() != errc::shutting_down) return false;
      const auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
      if (!listener && listener.error() == errc::no_runtime) return false;
    }
    is_gone = blocked == errc::runtime_gone;
  }
  return true;
}

// A fiber that no shutdown ends.
void stay(std::atomic<int>& in) {
  const ramie::Shield shield;
  ++in;
  (void)ramie::sleep_for(1h);
}

}  // namespace

TEST_CASE("Ends: a call from outside while a runtime ends gets a result or runtime_gone",
          "[runtime][ends]") {
  const Watchdog watchdog(std::chrono::seconds(120));
  for (int round = 0; round < 40; ++round) {
    Runtime runtime = make_runtime(2);
    const Handle handle = runtime.handle();
    std::atomic<int> good{0};
    std::vector<std::thread> askers;
    for (int i = 0; i < 3; ++i)
      askers.emplace_back([&good, handle] { good += ask_until_gone(handle) ? 1 : 0; });
    std::this_thread::sleep_for(std::chrono::microseconds(round * 50));
    const auto stragglers = runtime.shutdown(20s);
    for (std::thread& asker : askers) asker.join();
    REQUIRE(stragglers.empty());
    REQUIRE(good == 3);
  }
}

TEST_CASE("Ends: a call from outside while stragglers are left behind gets an answer, too",
          "[runtime][ends]") {
  const auto end = run_in_child(
      [] {
        for (int round = 0; round < 30; ++round) {
          Runtime runtime = make_runtime(1);
          const Handle handle = runtime.handle();
          std::atomic<int> in{0};
          handle.spawn([&in] { stay(in); }).detach();
          std::thread asker([handle] { must(ask_until_gone(handle), "a wrong answer"); });
          std::thread reader([handle] {
            while (handle.metrics().spawned < 1'000'000 && !handle.dump().empty()) {
            }
          });
          spin_until([&] { return in == 1; });
          std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
          must(!runtime.shutdown(0ns).empty(), "the straggler was not named");
          asker.join();
          reader.join();
        }
        ::_exit(0);
      },
      120);
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Ends: a function given to a runtime that ends never runs in its caller's",
          "[runtime][ends]") {
  const Watchdog watchdog(std::chrono::seconds(120));
  static thread_local int tag = 0;
  Runtime outer = ramie::or_throw(quiet_builder(2).on_thread_start([] { tag = 1; }).build());
  std::atomic<int> wrong{0};
  for (int round = 0; round < 60; ++round) {
    auto inner = std::make_unique<Runtime>(
        ramie::or_throw(quiet_builder(1).on_thread_start([] { tag = 2; }).build()));
    const Handle handle = inner->handle();
    auto giver = outer.spawn([&wrong, handle] {
      for (;;) {
        auto fiber = handle.spawn([] { return tag; });
        const bool is_joinable = fiber.is_joinable();
        const auto where = fiber.join();
        if (where && *where != 2) ++wrong;
        const auto job = handle.spawn_blocking([] { return tag; }).join();
        if (job && *job == 1) ++wrong;
        if (is_joinable) continue;
        if (where.error() != errc::runtime_gone) ++wrong;
        return;
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
    inner.reset();
    (void)giver.join();
  }
  CHECK(wrong == 0);
}

TEST_CASE("Ends: the last figures of a runtime stay", "[runtime][ends]") {
  const Watchdog watchdog;
  Runtime runtime = make_runtime(2);
  const Handle handle = runtime.handle();
  runtime.block_on([] {
    for (int i = 0; i < 10; ++i) (void)ramie::spawn([] {}).join();
    (void)ramie::spawn_blocking([] {}).join();
  });
  CHECK(runtime.shutdown(20s).empty());
  const auto figures = handle.metrics();
  CHECK(figures.workers == 2);
  CHECK(figures.spawned == 12);
  CHECK(figures.finished == 12);
  CHECK(figures.switches >= 11);
  CHECK(figures.blocking_threads == 0);
  {
    const Runtime gone = std::move(runtime);
  }
  CHECK(handle.metrics().finished == 12);
}

TEST_CASE("Ends: two threads that end a runtime both find it ended", "[runtime][ends]") {
  const Watchdog watchdog;
  Runtime runtime = make_runtime(2);
  std::atomic<bool> is_in{false};
  std::atomic<bool> may_end{false};
  auto slow = runtime.spawn([&] {
    is_in = true;
    while (!may_end) std::this_thread::sleep_for(100us);
  });
  spin_until([&] { return is_in.load(); });
  std::atomic<int> ended{0};
  std::atomic<int> too_early{0};
  std::vector<std::thread> enders;
  for (int i = 0; i < 2; ++i)
    enders.emplace_back([&] {
      (void)runtime.shutdown(20s);
      if (!slow.is_finished()) ++too_early;
      ++ended;
    });
  std::this_thread::sleep_for(10ms);
  may_end = true;
  for (std::thread& ender : enders) ender.join();
  CHECK(ended == 2);
  CHECK(too_early == 0);
}

TEST_CASE("Ends: a shutdown without time leaves nothing behind but what still runs",
          "[runtime][ends]") {
  const Watchdog watchdog(std::chrono::seconds(120));
  for (int round = 0; round < 100; ++round) {
    Runtime runtime = make_runtime(static_cast<std::size_t>(round % 3 + 1));
    auto fiber = runtime.spawn([] { return ramie::spawn_blocking([] { return 1; }).join(); });
    REQUIRE(fiber.join() == 1);
    REQUIRE(runtime.shutdown(0ns).empty());  // an idle thread, and ends that are being counted
    REQUIRE(runtime.metrics().blocking_threads == 0);
  }
}

TEST_CASE("Ends: blocking jobs that were left behind end one after the other, and nothing breaks",
          "[runtime][ends]") {
  const auto end = run_in_child([] {
    std::atomic<int> may_end{0};
    std::atomic<int> ended{0};
    auto runtime = make_runtime(1);
    const Handle handle = runtime.handle();
    std::vector<ramie::JoinHandle<int>> jobs;
    std::atomic<int> begun{0};
    for (int i = 1; i <= 3; ++i)
      jobs.push_back(handle.spawn_blocking([&, i] {
        ++begun;
        while (may_end < i) std::this_thread::sleep_for(100us);
        ++ended;
        return i;
      }));
    spin_until([&] { return begun == 3; });
    must(runtime.shutdown(0ns).size() == 3, "not all were named");
    for (auto& job : jobs) must(job.join().error() == errc::runtime_gone, "a straggler was joined");
    for (int i = 1; i <= 3; ++i) {
      may_end = i;
      auto& job = jobs[static_cast<std::size_t>(i - 1)];
      spin_until([&] { return job.is_finished(); });
      must(job.join() == i, "the result of a straggler that ended is lost");
    }
    spin_until([&] { return handle.metrics().blocking_threads == 0; });
    must(make_runtime(1).spawn([] { return 4; }).join() == 4, "the next runtime does not work");
    ::_exit(ended == 3 ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Ends: a join or a block_on of a straggler says runtime_gone, before and after the end",
          "[runtime][ends]") {
  const auto end = run_in_child([] {
    auto runtime = make_runtime(2);
    auto other = make_runtime(1);
    const Handle handle = runtime.handle();
    std::atomic<int> in{0};
    auto first = handle.spawn([&in] { stay(in); });
    auto second = handle.spawn([&in] { stay(in); });
    auto third = handle.spawn([&in] { stay(in); });
    auto computing = handle.spawn([&in] {
      ++in;
      for (;;) std::this_thread::sleep_for(1ms);
    });
    std::atomic<int> gone{0};
    const auto count = [&gone](const std::error_code& error) {
      if (error == errc::runtime_gone) ++gone;
    };
    std::thread joiner([&] { count(first.join().error()); });
    std::thread root([&] { count(error_of_block_on(handle, [&in] { stay(in); })); });
    auto foreign = other.spawn([&] { count(second.join().error()); });
    spin_until([&] { return in == 5; });
    must(runtime.shutdown(50ms).size() == 5, "not all were named");
    joiner.join();
    root.join();
    must(foreign.join().has_value(), "the other runtime's fiber did not end");
    count(third.join().error());
    count(computing.join().error());
    count(error_of_block_on(handle, [] {}));
    ::_exit(gone == 6 ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Ends: a Scope on a plain thread ends although its children were left behind",
          "[runtime][ends]") {
  const auto end = run_in_child([] {
    auto runtime = make_runtime(1);
    std::atomic<int> in{0};
    std::thread owner([&, handle = runtime.handle()] {
      const auto entered = handle.enter();
      ramie::Scope scope;
      (void)scope.spawn([&in] { stay(in); });
      must(scope.join().error() == errc::runtime_gone, "join() of what was left behind");
    });
    spin_until([&] { return in == 1; });
    must(runtime.shutdown(10ms).size() == 1, "not named");
    owner.join();
    ::_exit(0);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

namespace {

// Globals in which fibers that are left behind wait, until the statics are destroyed.
struct Globals {
  ramie::sync::Mutex mutex;
  ramie::sync::Mutex condvar_mutex;
  ramie::sync::Condvar condvar;
  ramie::sync::Semaphore semaphore{0};
  ramie::sync::Notify notify;
  ramie::CancellationToken token;
  std::pair<ramie::sync::mpsc::Sender<int>, ramie::sync::mpsc::Receiver<int>> channel =
      ramie::sync::mpsc::channel<int>(1);
  std::optional<ramie::net::TcpListener> listener;
  ramie::JoinHandle<void> fiber;
};

void wait_in(Globals& globals, std::atomic<int>& in) {
  const auto park = [&in](auto wait) {
    ramie::spawn([&in, wait] {
      const ramie::Shield shield;
      ++in;
      (void)wait();
    }).detach();
  };
  park([&] { globals.mutex.lock(); });
  park([&] { return globals.mutex.lock_cancelable(); });
  park([&] {
    std::unique_lock lock(globals.condvar_mutex);
    return globals.condvar.wait(lock);
  });
  park([&] { return globals.semaphore.acquire(); });
  park([&] { return globals.notify.wait(); });
  park([&] { return globals.token.wait(); });
  park([&] { return globals.channel.second.recv(); });
  park([&] { return globals.listener->accept(); });
  park([&] { return globals.fiber.join(); });
}

}  // namespace

TEST_CASE("Ends: globals in which stragglers wait are destroyed without a message",
          "[runtime][ends]") {
#if RAMIE_TSAN
  RAMIE_SKIP("nothing orders stragglers and the end of statics: the race detector is right");
#endif
  const auto end = run_in_child([] {
    static Globals globals;  // destroyed by exit(), after the runtime
    std::atomic<int> in{0};
    auto runtime = make_runtime(1);
    globals.mutex.lock();
    runtime.block_on([&] {
      globals.listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
      globals.fiber = ramie::spawn([&in] { stay(in); });
      wait_in(globals, in);
      while (in != 10) (void)ramie::sleep_for(1ms);
      (void)ramie::sleep_for(5ms);
    });
    must(runtime.shutdown(1ms).size() >= 8, "not all were named");
    std::exit(7);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 7);
  CHECK(end.messages.empty());
}

TEST_CASE("Ends: drain() names fibers that do not end, and RAMIE_DRAIN_TIMEOUT bounds block_on",
          "[runtime][ends]") {
  const auto end = run_in_child([] {
    auto builder = quiet_builder(2);
    builder.drain_timeout(3s);  // the first line about it comes after one
    auto runtime = ramie::or_throw(builder.build());
    const Handle handle = runtime.handle();
    std::atomic<int> in{0};
    ramie::sync::Mutex mutex;
    mutex.lock();
    auto obedient = handle.spawn([] { return ramie::sleep_for(1h); });
    const auto ended = error_of_block_on(handle, [&] {
      ramie::Scope scope;
      (void)scope.spawn({.name = "stubborn"}, [&] { stay(in); });
      (void)scope.spawn({.name = "locked"}, [&] {
        ++in;
        mutex.lock();
      });
      (void)scope.spawn([] { (void)ramie::sleep_for(1h); });
      while (in != 2) (void)ramie::sleep_for(1ms);
      scope.drain(1ms);
    });
    must(ended == errc::runtime_gone, "block_on did not say that the runtime ended");
    must(obedient.join().error() == errc::shutting_down, "the others were not ended");
    must(handle.spawn([] {}).join().error() == errc::runtime_gone, "the runtime goes on");
    ::_exit(0);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("Scope::drain() waits for 2 of its fibers"));
  CHECK(end.says("'stubborn': sleep"));
  CHECK(end.says("'locked': Mutex"));
  CHECK(end.says("left behind: fiber"));
  CHECK(end.says("'block_on': Scope"));
}

TEST_CASE("Ends: a drain in another fiber, and one that succeeds late, are bounded, too",
          "[runtime][ends]") {
  const auto end = run_in_child([] {
    auto builder = quiet_builder(1);
    builder.drain_timeout(500ms);
    auto runtime = ramie::or_throw(builder.build());
    std::atomic<int> in{0};
    const auto ended = error_of_block_on(runtime.handle(), [&] {
      auto server = ramie::spawn([&in] {
        ramie::Scope scope;
        (void)scope.spawn([&in] { stay(in); });
        while (in != 1) (void)ramie::sleep_for(1ms);
        scope.drain(0ns);
      });
      (void)server.join();  // shutting_down ends this wait, and the root returns
    });
    must(!ended, "the root has returned in time, and its end counts");
    must(runtime.handle().spawn([] {}).join().error() == errc::runtime_gone, "it goes on");
    ::_exit(0);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}
