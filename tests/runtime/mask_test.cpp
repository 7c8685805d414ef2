// Signals that the parent of a process has blocked or ignored. Each case runs in a child, which
// blocks all signals except the alarm that ends a hang.
#include "sched/base/annotate.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/overheard.hpp"
#include "tests/support/skip.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

using namespace std::chrono_literals;
using ramie::runtime::Builder;
using ramie::runtime::DumpSignal;
using ramie::runtime::Runtime;
using ramie::signal::Kind;
using ramie::signal::Signal;
using ramie_test::Overheard;
using ramie_test::run_in_child;

namespace {

void block_all() {
  sigset_t most;
  ::sigfillset(&most);
  ::sigdelset(&most, SIGALRM);
  ::sigprocmask(SIG_BLOCK, &most, nullptr);
}

bool is_blocked(int number) {
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return ::sigismember(&mask, number) == 1;
}

Builder with_signals(std::size_t workers) {
  Builder builder = ramie_test::quiet_builder(workers);
  builder.process_wide(true).dump_signal(DumpSignal::none);
  return builder;
}

bool hears(Signal& signal, int number) {
  ::kill(::getpid(), number);
  return ramie::timeout(20s, [&] { return signal.recv(); }).has_value();
}

}  // namespace

TEST_CASE("Signal: a signal that was blocked when the runtime was built is still received",
          "[runtime][mask]") {
  for (const std::size_t workers : {1U, 2U}) {
    const auto end = run_in_child([workers] {
      block_all();
      const Runtime runtime = ramie::or_throw(with_signals(workers).build());
      const bool good = runtime.block_on([] {
        bool all = true;
        for (const Kind kind : {Kind::user1(), Kind::hangup(), Kind::child(), Kind::terminate()}) {
          auto signal = ramie::or_throw(Signal::open(kind));
          for (int i = 0; i < 3; ++i) all &= hears(signal, kind.raw());
        }
        const auto stop = ramie::signal::shutdown();
        ::kill(::getpid(), SIGINT);
        return all && ramie::timeout(20s, [&] { return stop.wait(); }).has_value();
      });
      // A thread of the program keeps its mask.
      ::_exit(good && is_blocked(SIGUSR1) && is_blocked(SIGTERM) ? 0 : 1);
    });
    CHECK(end.exit_status == 0);
  }
}

TEST_CASE(
    "Signal: opened or armed by a plain thread, before or beside the runtime, it is unblocked",
    "[runtime][mask]") {
  const auto end = run_in_child([] {
    block_all();
    const auto stop = ramie::signal::shutdown();
    const Runtime first = ramie::or_throw(with_signals(1).build());
    const Runtime second = ramie::or_throw(with_signals(1).build());
    auto here = [&] {
      const auto entered = first.enter();
      return ramie::or_throw(Signal::open(Kind::user1()));
    }();
    ::kill(::getpid(), SIGUSR1);
    bool good = here.recv().has_value();
    {
      const Runtime third = ramie::or_throw(with_signals(1).build());
      good &= third.block_on([] {
        auto signal = ramie::or_throw(Signal::open(Kind::user2()));
        return hears(signal, SIGUSR2);
      });
    }
    // The thread that opened it has ended; the others still receive it.
    good &= second.block_on([] {
      auto signal = ramie::or_throw(Signal::open(Kind::user2()));
      return hears(signal, SIGUSR2);
    });
    ::kill(::getpid(), SIGTERM);
    good &= second.block_on(
        [&] { return ramie::timeout(20s, [&] { return stop.wait(); }).has_value(); });
    ::_exit(good ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
}

TEST_CASE("A runtime that is not process-wide leaves every mask alone", "[runtime][mask]") {
  const auto end = run_in_child([] {
    block_all();
    const Runtime runtime = ramie::or_throw(ramie_test::quiet_builder(1).build());
    const bool good = runtime.block_on(
        [] { return is_blocked(SIGUSR1) && is_blocked(SIGSEGV) && is_blocked(SIGURG); });
    ::_exit(good ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
}

#if RAMIE_TSAN == 0  // it delays handlers while a thread sleeps

namespace {

// Raises SIGQUIT and waits until the dump has come, or two seconds if none is to come.
void ask_for_dump(bool is_to_come) {
  const Overheard heard;
  Builder builder = ramie_test::quiet_builder(2);
  builder.process_wide(true).dump_signal(DumpSignal::quit);
  const Runtime runtime = ramie::or_throw(builder.build());
  runtime.block_on([&] {
    auto fiber = ramie::spawn({.name = "seen in the dump"}, [] { (void)ramie::sleep_for(1h); });
    (void)ramie::sleep_for(20ms);
    ::kill(::getpid(), SIGQUIT);
    const auto end = std::chrono::steady_clock::now() + (is_to_come ? 10s : 2s);
    while (!heard.says("seen in the dump") && std::chrono::steady_clock::now() < end)
      (void)ramie::sleep_for(10ms);
    fiber.cancel();
    (void)fiber.join();
  });
}

}  // namespace

TEST_CASE("Dump: SIGQUIT that was blocked at the start prints one", "[runtime][mask]") {
  const auto end = run_in_child([] {
    block_all();
    ask_for_dump(true);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("seen in the dump"));
}

// Hidden: the program that a script has started with `&`.
TEST_CASE("Inherited: a dump is asked for", "[.]") { ask_for_dump(true); }

TEST_CASE("Dump: SIGQUIT that the parent ignored prints one, as in a script's background",
          "[runtime][mask]") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  const auto end = run_in_child([] {
    ::signal(SIGQUIT, SIG_IGN);
    ::setenv("RAMIE_TEST_INHERITS", "signals", 1);
    ::execl("/proc/self/exe", "inherited", "Inherited: a dump is asked for", nullptr);
    ::_exit(99);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("seen in the dump"));
}

TEST_CASE("Dump: SIGQUIT that the program itself ignores stays ignored", "[runtime][mask]") {
  const auto end = run_in_child([] {
    ::signal(SIGQUIT, SIG_IGN);
    ask_for_dump(false);
  });
  CHECK(end.exit_status == 0);
  CHECK_FALSE(end.says("seen in the dump"));
}

#endif
