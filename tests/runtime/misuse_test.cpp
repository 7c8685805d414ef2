// A bug in the caller stops the program with a message that says which fiber and what to do.
#include "sched/base/annotate.hpp"
#include "sched/hold_check.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <mutex>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using ramie::spawn;
using ramie::runtime::Builder;
using ramie::runtime::Handle;
using ramie::runtime::Runtime;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;
using ramie_test::Watchdog;

TEST_CASE("B29 block_on inside a fiber is refused with a message", "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(2).build());
    (void)spawn([] {});  // no runtime here: an error, not a crash
    runtime.block_on([&runtime] {
      (void)spawn({.name = "nesting"}, [&runtime] { runtime.block_on([] {}); }).join();
    });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("block_on inside a fiber"));
  CHECK(end.says("'nesting'"));
}

TEST_CASE("B33 a fiber that ends its own runtime is diagnosed", "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(2).build());
    runtime.block_on([&runtime] { (void)runtime.shutdown(1s); });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("cannot end its own runtime"));
  CHECK(end.says("'block_on'"));
}

TEST_CASE("B30 guards that end in the wrong order are diagnosed", "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime one = ramie::or_throw(quiet_builder(2).build());
    Runtime two = ramie::or_throw(quiet_builder(2).build());
    std::optional first(one.enter());
    std::optional second(two.enter());
    first.reset();
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("reverse order"));
}

TEST_CASE("B31 what needs a runtime says so", "[runtime][misuse]") {
  const Watchdog watchdog;
  CHECK(spawn([] {}).join().error() == ramie::errc::no_runtime);
  CHECK(ramie::sleep_for(1ms).error() == ramie::errc::no_runtime);
  CHECK(ramie::net::TcpListener::bind("127.0.0.1:0").error() == ramie::errc::no_runtime);
  CHECK(std::error_code(ramie::errc::no_runtime).message().find("block_on") != std::string::npos);
  const auto end = run_in_child([] { (void)Handle::current(); });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("outside a runtime"));
}

TEST_CASE("A fiber that joins itself, and a hook that blocks its worker, are diagnosed",
          "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto self = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(2).build());
    runtime.block_on([] {
      ramie::JoinHandle<void> own;
      std::atomic<bool> is_set{false};
      own = spawn([&] {
        while (!is_set) ramie::yield_now();
        (void)own.join();
      });
      is_set = true;
      (void)ramie::sleep_for(10s);
    });
  });
  CHECK(self.signal == SIGABRT);
  CHECK(self.says("joins itself"));
  const auto hook = run_in_child([] {
    Runtime runtime = ramie::or_throw(
        quiet_builder(2).on_thread_start([] { (void)ramie::CancellationToken().wait(); }).build());
    runtime.block_on([] {});
  });
  CHECK(hook.signal == SIGABRT);
  CHECK(hook.says("a worker thread must not block"));
}

TEST_CASE("An exception that no join takes is reported with name and site; abort is a choice",
          "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto reported = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(2).build());
    std::atomic<bool> has_begun{false};
    runtime.block_on([&] {
      spawn({.name = "loose"}, [&] {
        has_begun = true;
        throw std::runtime_error("end");
      }).detach();
      while (!has_begun) (void)ramie::sleep_for(1ms);
    });
  });
  CHECK(reported.exit_status == 0);
  CHECK(reported.says("'loose'"));
  CHECK(reported.says("spawned in "));
  CHECK(reported.says("misuse_test.cpp:"));
  const auto aborted = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(2).abort_on_unhandled(true).build());
    runtime.block_on([] {
      spawn([] { throw std::runtime_error("end"); }).detach();
      (void)ramie::sleep_for(1h);
    });
  });
  CHECK(aborted.signal == SIGABRT);
}

TEST_CASE("BF04 a stack overflow in a runtime names the fiber; process_wide(false) does not",
          "[runtime][misuse]") {
  const Watchdog watchdog;
  const bool is_wide = GENERATE(true, false);
  const auto end = run_in_child([is_wide] {
    // The handler of a sanitizer would answer first; this tests the plain message.
    auto builder = quiet_builder(2);
    builder.stall(0ms);  // no report of a fiber that takes long to end, by its name
    Runtime runtime = ramie::or_throw(builder.process_wide(is_wide).build());
    runtime.block_on([] {
      (void)spawn({.name = "bottomless"}, [] {
        struct Recursion {
          [[gnu::noinline]] static int go(int n) {
            volatile char frame[1024];
            frame[0] = static_cast<char>(n);
            return n == 0 ? 0 : go(n - 1) + frame[0];
          }
        };
        return Recursion::go(100'000'000);
      }).join();
    });
  });
  CHECK((end.signal == SIGSEGV || end.exit_status == 1));
  if (is_wide) CHECK(end.says("'bottomless'"));
  else CHECK_FALSE(end.says("'bottomless'"));
}

TEST_CASE("Stragglers of a Runtime are named on stderr, and the process goes on",
          "[runtime][misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    {
      Runtime runtime = ramie::or_throw(quiet_builder(2).drain_timeout(100ms).build());
      std::atomic<bool> is_in{false};
      runtime
          .spawn([&is_in] {
            ramie::current::set_name("stayer");
            is_in = true;
            const ramie::Shield shield;
            (void)ramie::sleep_for(1h);
          })
          .detach();
      runtime.block_on([&is_in] {
        while (!is_in) ramie::yield_now();
      });
    }
    const int again = ramie::block_on([] { return 5; });
    ::_exit(again == 5 ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("'stayer'"));
  CHECK(end.says("did not end within"));
}

// Sanitizers replace these functions.
#if !RAMIE_ASAN && !RAMIE_TSAN

namespace {

// In every build. In its own process if it finds something, because the checks stay on.
Runtime checking(std::size_t workers) {
  return ramie::or_throw(quiet_builder(workers).checks(true).build());
}

}  // namespace

namespace misuse_test {

[[gnu::noinline]] void park_with(std::mutex& mutex) {
  const std::lock_guard lock(mutex);
  (void)ramie::sleep_for(1ms);
}

[[gnu::noinline]] int initialise() {
  ramie::yield_now();
  return 1;
}

[[gnu::noinline]] int lazy() {
  static const int value = initialise();
  return value;
}

}  // namespace misuse_test

TEST_CASE("BF07 parking with a std::mutex held is diagnosed, with both stacks", "[misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = checking(1);
    std::mutex mutex;
    runtime.block_on([&] { misuse_test::park_with(mutex); });
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  // It yields if its time is up before it can park.
  CHECK((end.says("'block_on' parks here:\n") || end.says("'block_on' yields here:\n")));
  CHECK(end.says("while it holds a std::mutex, taken here:\n"));
  CHECK(end.says("Use ramie::sync::Mutex"));
  const auto first = end.messages.find("misuse_test::park_with");
  REQUIRE(first != std::string::npos);
  CHECK(end.messages.find("misuse_test::park_with", first + 1) != std::string::npos);
}

TEST_CASE("BF07 parking with a std::timed_mutex held is diagnosed, whichever call took it",
          "[misuse]") {
  const Watchdog watchdog;
  const auto call = GENERATE(0, 1, 2);
  CAPTURE(call);
  const auto end = run_in_child([call] {
    Runtime runtime = checking(1);
    std::timed_mutex mutex;
    runtime.block_on([&] {
      if (call == 0) (void)mutex.try_lock_for(1s);
      if (call == 1) (void)mutex.try_lock_until(std::chrono::steady_clock::now() + 1s);
      if (call == 2) (void)mutex.try_lock_until(std::chrono::system_clock::now() + 1s);
      (void)ramie::sleep_for(1ms);
    });
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("while it holds a std::mutex, taken here:\n"));
}

TEST_CASE("BF07 a std::timed_mutex that was not taken, or was released, is no misuse", "[misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = checking(1);
    std::timed_mutex mutex;
    const std::lock_guard lock(mutex);  // this thread's
    std::timed_mutex free;
    const bool is_right = runtime.block_on([&] {
      const bool is_ours = mutex.try_lock_for(1ms);
      ramie::yield_now();
      if (is_ours || !free.try_lock_for(1s)) return false;
      free.unlock();
      return ramie::sleep_for(1ms).has_value();
    });
    ::_exit(is_right ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("BF07 parking in the initialiser of a static is diagnosed", "[misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = checking(1);
    runtime.block_on([] { return misuse_test::lazy(); });
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("'block_on' yields here:\n"));
  CHECK(end.says("the initialiser of a function-local static"));
  CHECK(end.says("misuse_test::initialise"));
}

TEST_CASE("BF07 a std::mutex that is released before the wait is no misuse", "[misuse]") {
  const Watchdog watchdog;
  const auto end = run_in_child([] {
    Runtime runtime = checking(2);
    std::mutex mutex;
    int count = 0;
    const auto body = [&] {
      for (int i = 0; i < 100; ++i) {
        if (i % 2 == 0) {
          const std::lock_guard lock(mutex);
          ++count;
        } else if (mutex.try_lock()) {
          mutex.unlock();
        }
        ramie::yield_now();
      }
    };
    auto one = runtime.spawn(body);
    auto two = runtime.spawn(body);
    if (!one.join() || !two.join()) ::_exit(1);
    ::_exit(count == 100 ? 0 : 2);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("BF07 a std::mutex that a fiber ended with is not counted against the next one",
          "[misuse]") {
  const auto end = run_in_child([] {
    Runtime runtime = checking(1);
    std::mutex mutex;
    (void)runtime.spawn([&] { mutex.lock(); }).join();
    (void)runtime.spawn([] { return ramie::sleep_for(1ms); }).join();
    (void)runtime.spawn([&] { mutex.unlock(); }).join();
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("BF07 without RAMIE_CHECKS nothing is watched in builds without assertions", "[misuse]") {
  if (ramie::sched::HoldCheck::is_on()) RAMIE_SKIP("this build has assertions");
  const auto end = run_in_child([] {
    Runtime runtime = ramie::or_throw(quiet_builder(1).checks(false).build());
    std::mutex mutex;
    runtime.block_on([&] { misuse_test::park_with(mutex); });
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

// --- signal handlers -----------------------------------------------------------------------------

namespace misuse_test {

ramie::sync::Mutex contended;
void lock_in_handler(int) { contended.lock(); }

}  // namespace misuse_test

TEST_CASE("A wait in a signal handler is named as what it is, in a fiber and on a worker's stack",
          "[misuse]") {
  // Nothing tells a handler with SA_NODEFER from a call in a fiber.
  const auto [is_fiber, flags] = GENERATE(values<std::pair<bool, int>>(
      {{true, 0}, {true, SA_ONSTACK}, {false, 0}, {false, SA_ONSTACK}, {false, SA_NODEFER}}));
  CAPTURE(is_fiber, flags);
  const auto end = run_in_child([=] {
    struct sigaction action{};
    action.sa_handler = &misuse_test::lock_in_handler;
    action.sa_flags = flags;
    ::sigaction(SIGUSR2, &action, nullptr);
    misuse_test::contended.lock();
    auto builder = quiet_builder(1);
    if (is_fiber) {
      Runtime runtime = ramie::or_throw(builder.checks(true).build());
      runtime.block_on([] {
        ramie::yield_now();
        (void)::raise(SIGUSR2);
      });
    } else {
      (void)builder.on_thread_start([] { (void)::raise(SIGUSR2); }).build();
    }
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("a signal handler called a function that may wait"));
}

#endif

// --- objects that were moved from or used up -----------------------------------------------------

namespace {

template <class T>
std::error_code code_of(const ramie::Result<T>& result) {
  return result ? std::error_code() : result.error();
}

}  // namespace

TEST_CASE("A handle that was joined, detached or moved from says so", "[runtime][misuse]") {
  const Watchdog watchdog;
  Runtime runtime = ramie::or_throw(quiet_builder(1).build());
  auto joined = runtime.spawn([] { return 1; });
  CHECK(joined.join() == 1);
  CHECK(code_of(joined.join()) == ramie::errc::spent);
  auto detached = runtime.spawn([] {});
  detached.detach();
  CHECK(code_of(detached.join()) == ramie::errc::spent);
  auto source = runtime.spawn([] { return 2; });
  auto target = std::move(source);
  CHECK(code_of(source.join()) == ramie::errc::spent);
  CHECK(target.join() == 2);
  CHECK(code_of(ramie::JoinHandle<int>().join()) == ramie::errc::spent);
  auto refused = spawn([] {});  // no runtime: the reason moves with the handle
  auto taken = std::move(refused);
  CHECK(code_of(taken.join()) == ramie::errc::no_runtime);
  CHECK(code_of(refused.join()) == ramie::errc::spent);
  const std::error_code spent = ramie::errc::spent;
  CHECK(spent.message().find("moved from") != std::string::npos);
  CHECK(spent == std::errc::invalid_argument);
}

TEST_CASE("Channels' halves and permits that were moved from or used say so", "[runtime][misuse]") {
  using ramie::errc;
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(2);
  auto permit = ramie::or_throw(sender.try_reserve());
  auto moved_permit = std::move(permit);
  CHECK(code_of(permit.send(1)) == errc::spent);
  CHECK(moved_permit.send(1).has_value());
  CHECK(code_of(moved_permit.send(2)) == errc::spent);
  const auto other_sender = std::move(sender);
  CHECK(code_of(sender.send(1)) == errc::spent);
  CHECK(code_of(sender.try_send(1)) == errc::spent);
  CHECK(code_of(sender.reserve()) == errc::spent);
  CHECK(code_of(sender.try_reserve()) == errc::spent);
  auto other_receiver = std::move(receiver);
  CHECK(code_of(receiver.recv()) == errc::spent);
  CHECK(code_of(receiver.try_recv()) == errc::spent);
  std::vector<int> values;
  CHECK(code_of(receiver.recv_many(values, 1)) == errc::spent);
  CHECK(other_receiver.recv() == 1);
  auto [one, answer] = ramie::sync::oneshot::channel<int>();
  auto other_one = std::move(one);
  CHECK(code_of(one.send(1)) == errc::spent);
  auto other_answer = std::move(answer);
  CHECK(code_of(answer.recv()) == errc::spent);
  CHECK(code_of(answer.try_recv()) == errc::spent);
  CHECK(other_one.send(1).has_value());
  CHECK(code_of(other_one.send(1)) == errc::spent);
  CHECK(other_answer.recv() == 1);
  CHECK(code_of(other_answer.recv()) == errc::spent);
}

TEST_CASE("A Handle that was moved from works; a Runtime and a Builder say that they were",
          "[runtime][misuse]") {
  using ramie::errc;
  const Watchdog watchdog;
  Builder builder = quiet_builder(1);
  Builder other_builder = std::move(builder);
  CHECK(code_of(builder.build()) == errc::spent);
  Runtime runtime = ramie::or_throw(other_builder.build());
  Handle handle = runtime.handle();
  const Handle other_handle = std::move(handle);
  CHECK(handle.spawn([] { return 1; }).join() == 1);
  Runtime other_runtime = std::move(runtime);
  CHECK(code_of(runtime.spawn([] {}).join()) == errc::spent);
  CHECK_THROWS_AS(runtime.block_on([] {}), std::system_error);
  CHECK(runtime.metrics().workers == 0);
  CHECK(runtime.handle().dump().empty());
  CHECK(runtime.shutdown(1s).empty());
  CHECK(other_runtime.block_on([] { return 2; }) == 2);
  runtime = std::move(other_runtime);
  CHECK(runtime.block_on([] { return 3; }) == 3);
  const auto entered = run_in_child([] {
    Runtime source = ramie::or_throw(quiet_builder(1).build());
    const Runtime target = std::move(source);
    const auto guard = source.enter();
  });
  CHECK(entered.signal == SIGABRT);
  CHECK(entered.says("Runtime was moved from"));
  const auto built = run_in_child([] {
    Builder source;
    const Builder target = std::move(source);
    source.workers(1);
  });
  CHECK(built.signal == SIGABRT);
  CHECK(built.says("Builder was moved from"));
}

TEST_CASE("A CancellationToken that was moved from is refused where it could never cancel",
          "[runtime][misuse]") {
  const int call = GENERATE(0, 1, 2);
  CAPTURE(call);
  const auto end = run_in_child([call] {
    ramie::CancellationToken token;
    const auto other = std::move(token);
    if (call == 0) (void)token.wait();
    if (call == 1) (void)token.child();
    if (call == 2) (void)ramie::until(token, [] {});
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("a CancellationToken that was moved from"));
}
