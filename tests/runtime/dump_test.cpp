// Dumps: every fiber with its state, wait, place and stack; while workers are stuck; under load.
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/pattern.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/text.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::spawn;
using ramie_test::comes_true;
using ramie_test::count;
using ramie_test::has;
using ramie_test::make_runtime;
using ramie_test::quiet_builder;
using ramie_test::Watchdog;

namespace dump_test {

// Names to look for. Without frame pointers, as users build.
#if defined(__clang__)
#define WITHOUT_FRAME_POINTER [[gnu::noinline]]
#else
#define WITHOUT_FRAME_POINTER [[gnu::noinline, gnu::optimize("omit-frame-pointer")]]
#endif
WITHOUT_FRAME_POINTER int wait_inside(ramie::sync::Notify& notify) { return notify.wait() ? 1 : 0; }
WITHOUT_FRAME_POINTER int wait_deeper(ramie::sync::Notify& notify) {
  return wait_inside(notify) + 1;
}

[[gnu::noinline]] bool burn(std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
  return true;
}

[[gnu::noinline]] bool sleep_in_kernel(int fd) {
  char byte = 0;
  return ::read(fd, &byte, 1) == 1;
}

}  // namespace dump_test

TEST_CASE("Dump: parked fibers are there with name, wait and stack, equal ones in one group",
          "[runtime][dump]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  ramie::sync::Notify notify;
  std::vector<ramie::JoinHandle<int>> fibers;
  for (int i = 0; i < 5; ++i)
    fibers.push_back(runtime.spawn([&, i] {
      return i == 4 ? dump_test::wait_deeper(notify) : dump_test::wait_inside(notify);
    }));
  std::string text;
  REQUIRE(comes_true([&] {
    text = runtime.handle().dump();
    return has(text, "4 fibers parked: Notify") && has(text, "1 fiber parked: Notify");
  }));
  INFO(text);
  CHECK(has(text, "^ramie: dump of process [0-9]+ \\('ramie'\\): 2 workers, 5 fibers: 5 parked\n"));
  CHECK(count(text, "dump_test::wait_inside") == 2);  // a group's stack is shown once
  CHECK(count(text, "dump_test::wait_deeper") == 1);
  CHECK(count(text, "ramie::sync::Notify::wait()") == 2);
  CHECK(count(text, "dump_test.cpp:") >= 3);
  for (const auto& fiber : fibers) CHECK(has(text, "  " + std::to_string(fiber.id()) + " '"));
  for (auto& fiber : fibers) {
    notify.notify_one();
    REQUIRE(comes_true([&] {
      notify.notify_one();
      return fiber.is_finished();
    }));
  }
}

// In its own process, because some effects are process-wide.
TEST_CASE("Dump: works while every worker is stuck, and shows in what", "[runtime][dump]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_CALL_NUMBERS);
  const auto end = ramie_test::run_in_child([] {
    auto builder = quiet_builder(2);
    auto runtime = ramie::or_throw(builder.process_wide(true).stall(0ms).build());
    std::atomic<bool> stop{false};
    int pipe[2];
    if (::pipe(pipe) != 0) ::_exit(1);
    auto burner = runtime.spawn([&] {
      return ramie::or_throw(
          spawn({.name = "burner"}, [&] { return dump_test::burn(stop); }).join());
    });
    auto reader = runtime.spawn([&] { return dump_test::sleep_in_kernel(pipe[0]); });
    std::string text;
    const bool is_complete = comes_true([&] {
      text = runtime.handle().dump();
      return has(text, "dump_test::burn") && has(text, "dump_test::sleep_in_kernel") &&
             has(text, "runs fiber [0-9]+ 'burner' for") &&
             has(text, "worker [01] \\(thread [0-9]+\\): runs fiber [0-9]+ '' for .*, in read\n");
    });
    stop = true;
    if (!is_complete) std::fputs(text.c_str(), stderr);
    if (!is_complete || ::write(pipe[1], "x", 1) != 1) ::_exit(2);
    if (burner.join() != true || reader.join() != true) ::_exit(3);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Dump: tells the descriptor, the joined fiber, the job, and what has not run yet",
          "[runtime][dump]") {
  ramie_test::in_runtime(1, [] {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    auto accepting = spawn({.name = "listener"}, [&] { return listener.accept().has_value(); });
    auto joining = spawn({.name = "joiner"}, [&] { return accepting.join(); });
    std::atomic<bool> stop{false};
    auto job = ramie::spawn_blocking([&] { return dump_test::burn(stop); });
    REQUIRE(ramie_test::until_parked(ramie::sched::WaitKind::accept, 1));
    REQUIRE(ramie_test::until_parked(ramie::sched::WaitKind::join, 1));
    auto fresh = spawn({.name = "fresh"}, [] {});
    const std::string text = ramie::runtime::Handle::current().dump();
    stop = true;
    INFO(text);
    CHECK(has(text, "1 fiber parked: accept\n +[0-9]+ 'listener', descriptor [0-9]+, for"));
    CHECK(has(text, "1 fiber parked: join\n +[0-9]+ 'joiner', fiber [0-9]+ 'listener', for"));
    CHECK(has(text, "1 fiber in the blocking pool"));
    CHECK(has(text, "runnable\n +[0-9]+ 'fresh'"));
    CHECK(has(text, "runs fiber [0-9]+ 'block_on' for"));
    accepting.cancel();
    CHECK(joining.join().has_value());
    CHECK(job.join() == true);
    CHECK(fresh.join().has_value());
  });
}

// Goal: a dump disturbs no fiber, and each stack that it shows is complete. Method: fibers that
// park and are woken all the time, and 1,000 dumps beside them.
TEST_CASE("Dump: 1,000 dumps under load", "[runtime][dump]") {
  const Watchdog watchdog(std::chrono::seconds(300));
  auto runtime = make_runtime(2);
  std::atomic<bool> stop{false};
  std::vector<ramie::JoinHandle<long>> fibers;
  for (int i = 0; i < 8; ++i)
    fibers.push_back(runtime.spawn([&] {
      auto [left, there] = ramie::sync::mpsc::channel<int>(1);
      auto [right, back] = ramie::sync::mpsc::channel<int>(1);
      auto echo = spawn([&right, &there] {
        while (auto value = there.recv())
          if (!right.send(*value)) return;
      });
      long rounds = 0;
      for (; !stop; ++rounds) {
        if (!left.send(1) || !back.recv()) return -1L;
        if (rounds % 16 == 0) (void)ramie::sleep_for(100us);
      }
      {
        auto closed = std::move(left);
      }
      return echo.join() ? rounds : -1L;
    }));
  int without_stack = 0;
  int parked = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = runtime.handle().dump();
    // A parked group's stack ends in the body of one of our fibers.
    for (std::size_t at = 0; (at = text.find(" parked: ", at)) != std::string::npos; ++at) {
      ++parked;
      const std::string group = text.substr(at, text.find("\n\n", at) - at);
      if (group.find("dump_test.cpp:") == std::string::npos) ++without_stack;
    }
  }
  stop = true;
  for (auto& fiber : fibers) CHECK(ramie::or_throw(fiber.join()) > 0);
  CHECK(parked > 1000);
  CHECK(without_stack == 0);
}

// Goal: a dump reads a name safely while its fiber changes it (the race detector checks this).
// Method: fibers that rename themselves all the time, and dumps beside them. A name in a dump may
// be a mix of two.
TEST_CASE("Dump: fibers that change their names meanwhile", "[runtime][dump]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  std::atomic<bool> stop{false};
  std::vector<ramie::JoinHandle<void>> fibers;
  for (int i = 0; i < 4; ++i)
    fibers.push_back(runtime.spawn([&stop] {
      while (!stop) {
        ramie::current::set_name("x");
        ramie::yield_now();
        ramie::current::set_name(std::string(100, 'y'));
        ramie::yield_now();
      }
    }));
  int named = 0;
  int strange = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string text = runtime.handle().dump();
    for (const auto& name : ramie_test::groups(text, "\n  [0-9]+ '([^']*)'")) {
      ++named;
      if (name.find_first_not_of("xy") != std::string::npos || name.size() > 31) ++strange;
    }
  }
  stop = true;
  for (auto& fiber : fibers) CHECK(fiber.join().has_value());
  CHECK(named >= 200);
  CHECK(strange == 0);
}

TEST_CASE("Dump: what must not be process-wide leaves SIGURG alone", "[runtime][dump]") {
  const auto end = ramie_test::run_in_child([] {
    (void)::signal(SIGURG, SIG_DFL);
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.stall(10ms).build());
    std::atomic<bool> stop{false};
    auto burner = runtime.spawn([&] { return dump_test::burn(stop); });
    const bool is_reported = comes_true([&] { return runtime.metrics().stalls > 0; });
    const std::string text = runtime.handle().dump();
    stop = true;
    (void)burner.join();
    struct sigaction now{};
    if (::sigaction(SIGURG, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) ::_exit(1);
    if (!is_reported || !has(text, "1 fiber running")) ::_exit(2);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("without a break"));
}

// If a handler would have to run on the fiber's own stack, the dump interrupts no worker.
TEST_CASE("Dump: a worker without an alternate signal stack is not interrupted, and this is said",
          "[runtime][dump]") {
  const auto end = ramie_test::run_in_child([] {
    const ramie_test::PlannedFaults faults("sigaltstack 1.. ENOMEM; tgkill 9999 EPERM");
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).stall(0ms).build());
    std::atomic<bool> stop{false};
    auto burner = runtime.spawn([&] { return dump_test::burn(stop); });
    std::string text;
    const bool is_said = comes_true([&] {
      text = runtime.handle().dump();
      return has(text, "runs fiber [0-9]+ '' for .*; its stack is not shown: the thread has no");
    });
    stop = true;
    (void)burner.join();
    if (!is_said) std::fputs(text.c_str(), stderr);
    if (!is_said || count(text, "dump_test::burn") != 0) ::_exit(1);
    if (faults.calls(1) != 0) ::_exit(2);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Dump: empty once the runtime has ended", "[runtime][dump]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(1);
  const auto handle = runtime.handle();
  CHECK_FALSE(handle.dump().empty());
  CHECK(runtime.shutdown(10s).empty());
  CHECK(handle.dump().empty());
}
