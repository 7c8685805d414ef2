// One runtime: which signals can be received, how they coalesce, and the end of a wait.
#include <catch2/catch.hpp>

#include <ramie/signal.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/signal/runtime.hpp"
#include "tests/support/skip.hpp"

using namespace ramie::test;
using ramie::errc;
using ramie::signal::Kind;
using ramie::signal::Signal;

namespace {

std::error_code open_error(int number) {
  auto opened = Signal::open(Kind::from_raw(number));
  return opened ? std::error_code() : opened.error();
}

// Each test has its own signal, because the kernel may deliver a signal of another test late. The
// kernel queues realtime signals, so only Ramie coalesces them.
Kind fresh_kind() {
  static int next = SIGRTMIN + 1;
  REQUIRE(next < SIGRTMAX);
  return Kind::from_raw(next++);
}

// Sends it to this thread alone, which takes it before anybody else sees it.
bool can_be_sent(int number) {
  sigset_t one;
  sigset_t before;
  ::sigemptyset(&one);
  ::sigaddset(&one, number);
  ::pthread_sigmask(SIG_BLOCK, &one, &before);
  const timespec at_once{};
  const bool can = ::pthread_kill(::pthread_self(), number) == 0 &&
                   ::sigtimedwait(&one, nullptr, &at_once) == number;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return can;
}

// True if it arrived within the time.
bool comes_within(Signal& signal, std::chrono::milliseconds time) {
  const auto received = ramie::timeout(time, [&] { return signal.recv(); });
  if (!received) CHECK(received.error() == errc::timed_out);
  return received.has_value();
}

}  // namespace

TEST_CASE("B73: numbers that cannot be heard are rejected") {
  Runtime runtime;
  runtime.enter([] {
    for (const int number : {0, -1, -100, SIGRTMAX + 1, 1'000'000, SIGKILL, SIGSTOP, SIGILL, SIGFPE,
                             SIGSEGV, SIGBUS, 32, 33}) {  // 32 and 33 are libc's own
      INFO(number);
      CHECK(open_error(number) == std::errc::invalid_argument);
    }
    struct sigaction now{};
    REQUIRE(::sigaction(SIGBUS, nullptr, &now) == 0);
    CHECK((now.sa_flags & SA_RESTART) == 0);  // not ours
  });
}

TEST_CASE("B73: the kinds are the system's numbers") {
  CHECK(Kind::interrupt().raw() == 2);
  CHECK(Kind::terminate().raw() == 15);
  CHECK(Kind::hangup().raw() == 1);
  CHECK(Kind::quit().raw() == 3);
  CHECK(Kind::user1().raw() == 10);
  CHECK(Kind::user2().raw() == 12);
  CHECK(Kind::child().raw() == 17);
  CHECK(Kind::alarm().raw() == 14);
  CHECK(Kind::window_change().raw() == 28);
  CHECK(Kind::from_raw(10) == Kind::user1());
  CHECK(Kind::user2() != Kind::user1());
}

TEST_CASE("B73: realtime signals are heard, the first and the last") {
  if (ramie_test::is_emulated() && !can_be_sent(SIGRTMAX))
    RAMIE_SKIP("emulated: SIGRTMAX cannot be sent");
  Runtime runtime;
  const auto heard = runtime.run([]() -> bool {
    for (const int number : {SIGRTMIN, SIGRTMAX}) {
      auto signal = ramie::or_throw(Signal::open(Kind::from_raw(number)));
      if (::kill(::getpid(), number) != 0 || !comes_within(signal, 10s)) return false;
    }
    return true;
  });
  CHECK(heard.value());
}

TEST_CASE("B73: outside a runtime there is an error, and no handler") {
  struct sigaction before{};
  REQUIRE(::sigaction(SIGURG, nullptr, &before) == 0);
  CHECK(open_error(SIGURG) == errc::no_runtime);
  CHECK(ramie::signal::ctrl_c().error() == errc::no_runtime);
  struct sigaction after{};
  REQUIRE(::sigaction(SIGURG, nullptr, &after) == 0);
  CHECK(before.sa_handler == after.sa_handler);
}

TEST_CASE("B73: dropping a Signal does not bring the default action back") {
  Runtime runtime;
  runtime.enter([] {
    CHECK(Signal::open(Kind::user2()).has_value());
    REQUIRE(::raise(SIGUSR2) == 0);  // by default it would end us
  });
}

// The mark is sent last. When it has been broadcast, the others have been, too.
TEST_CASE("S5: many signals before recv are one") {
  Runtime runtime;
  const auto counted = runtime.run([kind = fresh_kind(), last = fresh_kind()]() -> int {
    auto signal = ramie::or_throw(Signal::open(kind));
    auto mark = ramie::or_throw(Signal::open(last));
    for (int i = 0; i < 3; ++i) (void)::raise(kind.raw());
    (void)::raise(last.raw());
    if (!comes_within(mark, 10s)) return -1;
    int received = 0;
    while (comes_within(signal, 50ms)) ++received;
    return received;
  });
  CHECK(counted.value() == 1);
}

TEST_CASE("S5: a signal before the wait is not lost, one before open() does not count") {
  Runtime runtime;
  const auto verdict = runtime.run([kind = fresh_kind()]() -> int {
    auto early = ramie::or_throw(Signal::open(kind));
    (void)::raise(kind.raw());
    const bool was_kept = comes_within(early, 10s);
    auto late = ramie::or_throw(Signal::open(kind));
    return (was_kept ? 1 : 0) + (comes_within(late, 50ms) ? 2 : 0);
  });
  CHECK(verdict.value() == 1);
}

TEST_CASE("S5: kinds do not mix") {
  Runtime runtime;
  const auto verdict = runtime.run([first = fresh_kind(), second = fresh_kind()]() -> int {
    auto one = ramie::or_throw(Signal::open(first));
    auto two = ramie::or_throw(Signal::open(second));
    (void)::raise(second.raw());
    return (comes_within(two, 10s) ? 1 : 0) + (comes_within(one, 50ms) ? 2 : 0);
  });
  CHECK(verdict.value() == 1);
}

// Goal: the last signal of a burst is never lost. Method: another thread sends 100 bursts of 100.
// Before the last signal of each it stores the burst's number, which a later recv() must see. (TSan
// delays handlers in threads that sleep in a futex: there the sender signals itself.)
TEST_CASE("S1: after a storm of 10,000 signals every quiescence has had its recv") {
  Runtime runtime;
  std::atomic<int> sent{0};
  std::atomic<int> seen{0};
  auto listener = runtime.spawn([&] {
    auto signal = ramie::or_throw(Signal::open(Kind::user1()));
    seen = 1;
    while (seen < 101 && signal.recv()) seen = sent.load();
  });
  REQUIRE(comes_true([&] { return seen == 1; }));
  bool all_seen = true;
  const auto send = [] {
    (void)(RAMIE_TSAN != 0 ? ::raise(SIGUSR1) : ::kill(::getpid(), SIGUSR1));
  };
  std::thread([&] {
    for (int burst = 2; burst <= 101 && all_seen; ++burst) {
      for (int i = 0; i < 99; ++i) send();
      sent = burst;
      send();
      all_seen = comes_true([&] { return seen == burst; });
    }
  }).join();
  CHECK(all_seen);
  listener.cancel();
  CHECK(listener.join());
}

TEST_CASE("S5: a hundred fibers and forty threads all hear one signal") {
  Runtime runtime;
  const Kind kind = fresh_kind();
  std::atomic<int> open{0};
  std::atomic<int> heard{0};
  const auto listen = [&] {
    auto signal = ramie::or_throw(Signal::open(kind));
    ++open;
    if (signal.recv()) ++heard;
  };
  std::vector<ramie::JoinHandle<void>> fibers;
  for (int i = 0; i < 100; ++i) fibers.push_back(runtime.spawn(listen));
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) threads.emplace_back([&] { runtime.enter(listen); });
  REQUIRE(comes_true([&] { return open == 140; }));
  std::this_thread::sleep_for(20ms);  // most of them wait by now
  (void)::raise(kind.raw());
  CHECK(comes_true([&] { return heard == 140; }));
  for (auto& fiber : fibers) CHECK(fiber.join());
  for (auto& thread : threads) thread.join();
}

TEST_CASE("F7: a cancelled recv loses no signal") {
  Runtime runtime;
  const auto heard = runtime.run([kind = fresh_kind()]() -> bool {
    auto signal = ramie::or_throw(Signal::open(kind));
    if (comes_within(signal, 5ms)) return false;
    (void)::raise(kind.raw());
    return comes_within(signal, 10s);
  });
  CHECK(heard.value());
}

TEST_CASE("S5: shutdown ends every wait, also of plain threads, now and later") {
  auto runtime = std::make_unique<Runtime>();
  auto signal = ramie::or_throw(runtime->enter([] { return Signal::open(fresh_kind()); }));
  std::atomic<bool> has_ended{false};
  std::thread waiter([&] {
    CHECK(signal.recv().error() == errc::shutting_down);
    has_ended = true;
  });
  std::this_thread::sleep_for(20ms);
  CHECK_FALSE(has_ended);
  runtime->signals().shut_down();
  waiter.join();
  runtime.reset();
  CHECK(signal.recv().error() == errc::shutting_down);  // gone, and still no hang
}

TEST_CASE("B73: ctrl_c hears SIGINT") {
  Runtime runtime;
  auto waiting = runtime.spawn([] { return ramie::signal::ctrl_c(); });
  CHECK(runtime.enter([] { return Signal::open(Kind::interrupt()); }));  // we survive an early one
  REQUIRE(comes_true([&] {
    (void)::kill(::getpid(), SIGINT);
    return waiting.is_finished();
  }));
  CHECK(waiting.join());
}
