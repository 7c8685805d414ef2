// The watchdog names a fiber that keeps a worker in time, and no fiber that only works. It finds
// fibers that wait for each other, and not those that may still be woken. A signal prints a dump.
#include "tests/support/watchdog.hpp"
#include "sched/base/annotate.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/overheard.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/text.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::spawn;
using ramie::runtime::Builder;
using ramie::runtime::Deadlock;
using ramie::runtime::DumpSignal;
using ramie::runtime::Runtime;
using ramie_test::comes_true;
using ramie_test::count;
using ramie_test::Overheard;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;

namespace watchdog_test {

[[gnu::noinline]] void hog(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

[[gnu::noinline]] void hog(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

[[gnu::noinline]] void oversleep(const std::atomic<bool>& stop) {
  while (!stop) std::this_thread::sleep_for(200ms);
}

}  // namespace watchdog_test

namespace {

// The race detector's own code has no unwind tables, and it has a thread that might wake a fiber.
constexpr bool kIsPlain = RAMIE_TSAN == 0;

Runtime watched(std::chrono::milliseconds stall, Deadlock what = Deadlock::off) {
  auto builder = quiet_builder(2);
  builder.process_wide(true).dump_signal(DumpSignal::none).stall(stall).deadlock(what);
  return ramie::or_throw(builder.build());
}

}  // namespace

TEST_CASE("Watchdog: a fiber that keeps its worker is named with its stack, and again later",
          "[runtime][watchdog]") {
  const auto end = run_in_child([] {
    const Overheard heard;
    // With a short limit the watchdog takes a thread that gets no CPU for a lost wake-up.
    auto runtime = watched(500ms);
    std::atomic<bool> stop{false};
    const auto hog = [&stop] { watchdog_test::hog(stop); };
    auto outer = runtime.spawn([&] { return spawn({.name = "hog"}, hog).join(); });
    const bool is_named = comes_true([&] { return count(heard.text(), " 'hog' for ") >= 2; });
    stop = true;
    (void)outer.join();
    if (!is_named || runtime.metrics().stalls < 2) ::_exit(1);
    if (runtime.metrics().rescues != 0) ::_exit(2);
    if (!heard.comes("goes on")) ::_exit(3);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(count(end.messages, " 'hog' for ") >= 2);
  CHECK(count(end.messages, " without a break") == count(end.messages, " 'hog' for "));
  CHECK((end.says("watchdog_test::hog") || !kIsPlain));
  CHECK(end.says("goes on"));
}

// The first report reads the symbols, which takes longer than the limit here.
TEST_CASE("Watchdog: the reports of a fiber become rarer, however long a report takes",
          "[runtime][watchdog]") {
  const auto end = run_in_child([] {
    const Overheard heard;
    auto runtime = watched(10ms);
    std::atomic<bool> stop{false};
    auto hog = runtime.spawn({.name = "hog"}, [&stop] { watchdog_test::hog(stop); });
    const bool is_repeated = comes_true([&] { return count(heard.text(), " 'hog' for ") >= 3; });
    stop = true;
    (void)hog.join();
    if (!is_repeated) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  std::vector<double> times;  // in milliseconds: "168 ms" or "1.1 s"
  for (std::size_t at = 0; (at = end.messages.find("' for ", at)) != std::string::npos;) {
    std::size_t length = 0;
    const double time = std::stod(end.messages.substr(at += 6), &length);
    times.push_back(end.messages.compare(at + length, 3, " ms") == 0 ? time : time * 1000);
  }
  CHECK(times.size() >= 3);
  for (std::size_t i = 1; i < times.size(); ++i) CHECK(times[i] >= 1.5 * times[i - 1]);
}

TEST_CASE("Watchdog: a stderr that no one reads delays no shutdown", "[runtime][watchdog]") {
  const auto end = run_in_child([] {
    int full[2];
    if (::pipe2(full, O_NONBLOCK) != 0) ::_exit(1);
    const std::string block(4096, 'x');
    while (::write(full[1], block.data(), block.size()) > 0) {
    }
    if (::fcntl(full[1], F_SETFL, 0) != 0 || ::dup2(full[1], STDERR_FILENO) < 0) ::_exit(2);
    auto runtime = watched(20ms);
    (void)runtime.spawn([] { watchdog_test::hog(200ms); }).join();
    std::this_thread::sleep_for(2s);  // the report has been given up; it goes on
    if (!runtime.shutdown(5s).empty()) ::_exit(3);
  });
  CHECK(end.exit_status == 0);
}

TEST_CASE("Watchdog: tells the system call that a fiber blocks in", "[runtime][watchdog]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_CALL_NUMBERS);
  const auto end = run_in_child([] {
    const Overheard heard;
    auto runtime = watched(50ms);
    std::atomic<bool> stop{false};
    auto sleeper = runtime.spawn([&stop] { watchdog_test::oversleep(stop); });
    const bool is_told = heard.comes(" without a break");
    stop = true;
    (void)sleeper.join();
    if (!is_told) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("without a break; it is in clock_nanosleep\n"));
  CHECK(end.says("watchdog_test::oversleep"));
}

TEST_CASE("Watchdog: fibers that give way, and workers that sleep, are not reported",
          "[runtime][watchdog]") {
  const auto end = run_in_child([] {
    auto runtime = watched(400ms);  // a machine may take a worker's CPU for a while, too
    const auto polite = [] {
      const auto until = std::chrono::steady_clock::now() + 1200ms;
      while (std::chrono::steady_clock::now() < until) ramie::yield_now();
    };
    auto one = runtime.spawn(polite);
    auto two = runtime.spawn(polite);
    auto job = runtime.handle().spawn_blocking([] { watchdog_test::hog(1200ms); });
    auto sleeper = runtime.spawn([] { return ramie::sleep_for(1200ms); });
    (void)one.join();
    (void)two.join();
    (void)job.join();
    (void)sleeper.join();
    std::this_thread::sleep_for(200ms);
    if (runtime.metrics().stalls != 0) ::_exit(1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

TEST_CASE("Watchdog: fibers in the queue of a stuck worker are rescued without a watcher",
          "[runtime][watchdog]") {
  const ramie_test::Watchdog limit;
  auto builder = quiet_builder(2);
  auto runtime = ramie::or_throw(builder.watch(0us).stall(50ms).build());
  // Both are woken in one turn of one worker; the first to run computes until the other has run.
  std::atomic<int> ran{0};
  const auto until = std::chrono::steady_clock::now() + 100ms;
  const auto body = [&ran, until] {
    (void)ramie::sleep_until(until);
    ran.fetch_add(1);
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (ran.load() < 2 && std::chrono::steady_clock::now() < end) {
    }
    return ran.load() == 2;
  };
  auto one = runtime.spawn(body);
  auto two = runtime.spawn(body);
  CHECK(one.join() == true);
  CHECK(two.join() == true);
}

namespace {

// Two fibers, each with the lock that the other wants; this thread does something else before it
// joins them.
void embrace(const Runtime& runtime, std::chrono::milliseconds meanwhile = 0ms) {
  ramie::sync::Mutex a, b;
  ramie::sync::Notify has_a, has_b;
  auto one = runtime.spawn([&] {
    const std::lock_guard lock(a);
    has_a.notify_one();
    (void)has_b.wait();
    const std::lock_guard other(b);
  });
  auto two = runtime.spawn([&] {
    const std::lock_guard lock(b);
    has_b.notify_one();
    (void)has_a.wait();
    const std::lock_guard other(a);
  });
  watchdog_test::hog(meanwhile);
  (void)one.join();
  (void)two.join();
}

}  // namespace

TEST_CASE("Deadlock: fibers that wait for each other are reported, and end the program if asked",
          "[runtime][watchdog]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_THREAD_COUNT);
  if (!kIsPlain) RAMIE_SKIP("the race detector has a thread that might wake somebody");
  const auto end = run_in_child([] {
    auto runtime = watched(0ms, Deadlock::abort);
    embrace(runtime);
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("fatal: deadlock: all fibers wait for each other"));
  CHECK(end.says("2 fibers: 2 parked"));
  CHECK(count(end.messages, "parked: Mutex") + count(end.messages, "fibers parked: Mutex") >= 1);
  CHECK(end.says("watchdog_test.cpp:"));

  const auto reported = run_in_child([] {
    const Overheard heard;  // by a thread of this process, not of the one that has the deadlock
    const pid_t child = ::fork();
    if (child == 0) {
      auto runtime = watched(0ms, Deadlock::report);
      ramie::sync::Notify never;
      std::thread waiter([&] { (void)never.wait(); });  // a thread that waits wakes no one
      embrace(runtime);
    }
    const bool is_told = heard.comes("ramie: deadlock: all fibers wait for each other");
    std::this_thread::sleep_for(1s);  // it is not reported again
    int status = 0;
    (void)::kill(child, SIGALRM);
    if (::waitpid(child, &status, 0) != child || !is_told) ::_exit(1);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM) ::_exit(2);
  });
  INFO(reported.messages);
  CHECK(reported.exit_status == 0);
  CHECK(count(reported.messages, "ramie: deadlock: all fibers wait for each other") == 1);
}

TEST_CASE("Deadlock: one that begins while a thread is awake is found when it sleeps, too",
          "[runtime][watchdog]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_THREAD_COUNT);
  if (!kIsPlain) RAMIE_SKIP("the race detector has a thread that might wake somebody");
  const auto end = run_in_child([] {
    auto runtime = watched(50ms, Deadlock::abort);
    embrace(runtime, 1s);
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("fatal: deadlock: all fibers wait for each other"));
}

// The kernel's threads of an io_uring wake no fiber of ours.
TEST_CASE("Deadlock: one is reported after files were used, too", "[runtime][watchdog]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_THREAD_COUNT);
  if (!kIsPlain) RAMIE_SKIP("the race detector has a thread that might wake somebody");
  const auto end = run_in_child([] {
    auto runtime = watched(0ms, Deadlock::abort);
    runtime.block_on([] {
      const auto folder = ramie::or_throw(ramie::fs::TempDir::create());
      ramie::or_throw(ramie::fs::write(folder.path() + "/file", std::string("text")));
      ramie::or_throw(ramie::fs::metadata(folder.path()));  // by a thread of the kernel's
    });
    embrace(runtime);
  });
  INFO(end.messages);
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("fatal: deadlock: all fibers wait for each other"));
}

// Goal: a forked child has none of our threads, so none of their counts. Method: the parent has a
// watchdog that dumps on signals, and a thread that waits.
TEST_CASE("Deadlock: one in a runtime of a forked child is reported", "[runtime][watchdog]") {
  if (ramie_test::is_emulated()) RAMIE_SKIP(RAMIE_NO_THREAD_COUNT);
  if (!kIsPlain) RAMIE_SKIP("the race detector has a thread that might wake somebody");
  const auto end = run_in_child([] {
    auto builder = quiet_builder(1);
    auto parents = ramie::or_throw(builder.process_wide(true).build());
    ramie::sync::Notify never;
    std::thread waiter([&] { (void)never.wait(); });
    std::this_thread::sleep_for(50ms);  // it waits
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(25);
      auto runtime = watched(0ms, Deadlock::abort);
      embrace(runtime);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) ::_exit(1);
    if (WTERMSIG(status) != SIGABRT) ::_exit(2);
    never.notify_one();
    waiter.join();
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("fatal: deadlock: all fibers wait for each other"));
}

// Goal: no false alarm. Method: everything sleeps for long enough, but a timer, a descriptor, a
// signal or a thread may still come.
TEST_CASE("Deadlock: fibers that may still be woken from outside are not reported",
          "[runtime][watchdog]") {
  const auto end = run_in_child([] {
    auto runtime = watched(0ms, Deadlock::abort);
    ramie::sync::Notify never;
    auto stuck = runtime.spawn([&] { return never.wait(); });
    runtime.block_on([] { (void)ramie::sleep_for(1s); });  // a timer
    auto listening = runtime.spawn([] {
      auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
      (void)listener.accept();
    });
    std::thread waker([&] {  // a thread
      std::this_thread::sleep_for(1s);
      listening.cancel();
      std::this_thread::sleep_for(1s);
      never.notify_one();
    });
    (void)stuck.join();
    waker.join();
    auto job = runtime.handle().spawn_blocking([&] {  // a job
      std::this_thread::sleep_for(1s);
      never.notify_one();
    });
    (void)runtime.spawn([&] { return never.wait(); }).join();
    (void)job.join();
    if (runtime.metrics().deadlocks != 0) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

namespace {

constinit std::atomic<int> handled{0};

}  // namespace

TEST_CASE("Dump signal: prints every fiber although all workers are stuck", "[runtime][dump]") {
  const auto end = run_in_child([] {
    const Overheard heard;
    (void)::signal(SIGQUIT, SIG_DFL);
    auto builder = quiet_builder(2);
    auto runtime = ramie::or_throw(builder.process_wide(true).stall(0ms).build());
    std::atomic<int> running{0};
    std::atomic<bool> stop{false};
    const auto body = [&] {
      running.fetch_add(1);
      watchdog_test::hog(stop);
    };
    auto one = runtime.spawn(body);
    auto two = runtime.spawn(body);
    while (running.load() != 2) std::this_thread::sleep_for(1ms);
    (void)::raise(SIGQUIT);
    const bool is_told = heard.comes(": 2 running\n");
    stop = true;
    (void)one.join();
    (void)two.join();
    if (!is_told) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("ramie: dump of process "));
  CHECK(end.says(": 2 running\n"));
  CHECK((end.says("watchdog_test::hog") || !kIsPlain));
}

TEST_CASE("Dump signal: the program's own handler, and its Signal, come first", "[runtime][dump]") {
  const auto own = run_in_child([] {
    (void)::signal(SIGQUIT, [](int) { handled = 1; });
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).build());
    (void)::raise(SIGQUIT);
    std::this_thread::sleep_for(50ms);
    if (handled.load() != 1) ::_exit(1);
  });
  CHECK(own.exit_status == 0);
  CHECK(own.messages.empty());

  const auto opened = run_in_child([] {
    (void)::signal(SIGQUIT, SIG_DFL);
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).build());
    runtime.block_on([] {
      auto quit = ramie::or_throw(ramie::signal::Signal::open(ramie::signal::Kind::quit()));
      (void)::raise(SIGQUIT);
      if (!quit.recv()) ::_exit(1);
    });
  });
  CHECK(opened.exit_status == 0);
  CHECK(opened.messages.empty());
}

TEST_CASE("Dump signal: without a runtime it does what it does to any program", "[runtime][dump]") {
  if (!kIsPlain) RAMIE_SKIP("the race detector's signals take ways of their own");
  const auto end = run_in_child([] {
    (void)::signal(SIGQUIT, SIG_DFL);
    for (int i = 0; i < 2; ++i) {
      auto builder = quiet_builder(1);
      (void)ramie::or_throw(builder.process_wide(true).build());
    }
    (void)::raise(SIGQUIT);
    std::this_thread::sleep_for(1s);
  });
  CHECK(end.signal == SIGQUIT);
}

TEST_CASE("Dump signal: in a forked child it does what it does to any program", "[runtime][dump]") {
  if (!kIsPlain) RAMIE_SKIP("the race detector's signals take ways of their own");
  const auto end = run_in_child([] {
    (void)::signal(SIGQUIT, SIG_DFL);
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).build());
    const pid_t child = ::fork();
    if (child == 0) {
      (void)::raise(SIGQUIT);
      ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) ::_exit(1);
    if (WTERMSIG(status) != SIGQUIT) ::_exit(2);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

TEST_CASE("Dump signal: also in a forked child whose own runtime has ended", "[runtime][dump]") {
  if (!ramie_test::has_threads_in_forks()) RAMIE_SKIP(RAMIE_NO_THREADS_IN_FORKS);
  if (!kIsPlain) RAMIE_SKIP("the race detector's signals take ways of their own");
  const auto end = run_in_child([] {
    (void)::signal(SIGQUIT, SIG_DFL);
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).build());
    const pid_t child = ::fork();
    if (child == 0) {
      auto again = quiet_builder(1);
      (void)ramie::or_throw(again.process_wide(true).build());
      (void)::raise(SIGQUIT);
      ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) ::_exit(1);
    if (WTERMSIG(status) != SIGQUIT) ::_exit(2);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

// Method: the parent forks while another thread of it asks a worker for its stack.
TEST_CASE("Dump: in a forked child it works at any state of the parent", "[runtime][dump]") {
  if (!ramie_test::has_threads_in_forks()) RAMIE_SKIP(RAMIE_NO_THREADS_IN_FORKS);
  if (!kIsPlain) RAMIE_SKIP("the race detector has a thread that might wake somebody");
  const auto end = run_in_child([] {
    const ramie_test::PlannedFaults faults("tgkill 1 delay=500ms");
    auto builder = quiet_builder(1);
    builder.process_wide(true);
    auto runtime = ramie::or_throw(builder.build());
    std::atomic<bool> stop{false};
    auto hog = runtime.spawn([&stop] { watchdog_test::hog(stop); });
    std::thread dumper([&] {
      while (faults.hits() == 0) (void)runtime.handle().dump();
    });
    while (faults.hits() == 0) std::this_thread::sleep_for(1ms);
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      auto own = ramie::or_throw(builder.build());
      auto other = own.spawn([&stop] { watchdog_test::hog(stop); });
      const bool is_seen = ramie_test::comes_true(
          [&] { return count(own.handle().dump(), "watchdog_test::hog") != 0; });
      ::_exit(is_seen ? 0 : 1);
    }
    dumper.join();
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) ::_exit(1);
    stop = true;
    (void)hog.join();
  });
  CHECK(end.exit_status == 0);
}
