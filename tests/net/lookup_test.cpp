// Tests look-ups by a resolver that hangs: only the caller waits.
#include "sched/base/annotate.hpp"
#include "sched/blocking/detached.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/injection.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::net::lookup_host;
using ramie::runtime::Runtime;
using ramie::sched::DetachedCalls;
using ramie_test::make_runtime;
using ramie_test::quiet_builder;
using ramie_test::Watchdog;

namespace {

constexpr int kThreads = 8;  // that the process keeps for look-ups

// A resolver that does not answer before the test tells it to.
class HangingResolver : ramie_test::Injection {
 public:
  HangingResolver() { plug_in(); }
  ~HangingResolver() {
    answer();
    wait_until_quiet();
    pull_out();
  }
  void answer() { is_open_ = true; }
  int calls() const { return calls_; }
  int inside() const { return inside_; }
  static void wait_until_quiet() {
    auto& lookups = DetachedCalls::of_process();
    while (lookups.queued() != 0 || DetachedCalls::idle_in_process() != lookups.threads())
      std::this_thread::sleep_for(100us);
  }

 private:
  int decide(const char* call) noexcept override {
    if (std::string_view(call) != "getaddrinfo") return 0;
    ++calls_;
    ++inside_;
    while (!is_open_) std::this_thread::sleep_for(100us);
    --inside_;
    return -EIO;
  }

  std::atomic<bool> is_open_{false};
  std::atomic<int> calls_{0};
  std::atomic<int> inside_{0};
};

template <class Condition>
void wait_until(Condition&& condition) {
  while (!condition()) (void)ramie::sleep_for(1ms);
}

// Starts fibers that look up a name with a deadline. Counts how many got timed_out.
void ask(ramie::Scope& scope, int count, std::atomic<int>& gave_up) {
  for (int i = 0; i < count; ++i)
    (void)scope.spawn([&gave_up] {
      const auto late = ramie::timeout(20ms, [] { return lookup_host("slow.example:80"); });
      if (!late && late.error() == errc::timed_out) ++gave_up;
    });
}

// In a forked child the leak checker would report the memory of the parent's threads.
std::atomic<bool> is_child{false};

}  // namespace

#if RAMIE_ASAN
extern "C" [[gnu::visibility("default")]] int __lsan_is_turned_off() { return is_child ? 1 : 0; }
#endif

// A fast resolver could answer before the deadline is checked, so this one hangs.
TEST_CASE("lookup_host: a deadline ends the wait, not the runtime") {
  const Watchdog watchdog;
  HangingResolver resolver;
  Runtime runtime = make_runtime(1);
  std::error_code none, some;
  runtime.block_on([&] {
    const auto at_once = ramie::timeout(0ms, [] { return lookup_host("slow.example:80"); });
    if (!at_once) none = at_once.error();
    const auto later = ramie::timeout(20ms, [] { return lookup_host("slow.example:80"); });
    if (!later) some = later.error();
  });
  CHECK(none == errc::timed_out);
  CHECK(some == errc::timed_out);
}

TEST_CASE("lookup_host: a look-up that nobody waits for any more is dropped before it begins") {
  const Watchdog watchdog;
  HangingResolver resolver;
  std::atomic<int> gave_up{0};
  std::size_t queued = 99;
  Runtime runtime = make_runtime(2);
  runtime.block_on([&] {
    ramie::Scope scope;
    auto keeper = ramie::spawn([] { return lookup_host("slow.example:80"); });  // occupies a thread
    wait_until([&] { return resolver.inside() == 1; });
    ask(scope, 50, gave_up);
    (void)scope.join();
    queued = DetachedCalls::of_process().queued();
    const int begun = resolver.calls();
    resolver.answer();
    (void)keeper.join();
    HangingResolver::wait_until_quiet();
    if (resolver.calls() != begun) gave_up = -1;  // abandoned look-ups were made
  });
  CHECK(gave_up == 50);
  CHECK(queued == 0);
  CHECK(resolver.calls() <= kThreads);
}

TEST_CASE("lookup_host: 600 look-ups that hang take nothing from the blocking pool") {
  const Watchdog watchdog;
  HangingResolver resolver;
  auto builder = quiet_builder(2);
  builder.blocking_threads(1);
  Runtime runtime = ramie::or_throw(builder.build());
  std::atomic<int> gave_up{0};
  const int job = runtime.block_on([&] {
    ramie::Scope scope;
    for (int i = 0; i < kThreads; ++i)
      (void)scope.spawn([] { (void)lookup_host("slow.example:80"); });
    wait_until([&] { return resolver.inside() == kThreads; });
    ask(scope, 600, gave_up);
    const int ran = ramie::or_throw(ramie::spawn_blocking([] { return 7; }).join());
    wait_until([&] { return gave_up == 600; });
    resolver.answer();
    (void)scope.join();
    return ran;
  });
  CHECK(job == 7);
  CHECK(gave_up == 600);
}

TEST_CASE(
    "lookup_host: a look-up that hangs does not delay the end of a runtime, and is no straggler") {
  const Watchdog watchdog;
  HangingResolver resolver;
  Runtime runtime = make_runtime(2);
  auto asking = runtime.spawn([] { return lookup_host("slow.example:80"); });
  while (resolver.inside() == 0) std::this_thread::sleep_for(100us);
  CHECK(runtime.shutdown(1h).empty());
  CHECK(resolver.inside() == 1);  // it still hangs
  CHECK(asking.join().error() == errc::shutting_down);
  // The look-ups of the next runtime get threads.
  Runtime next = make_runtime(1);
  auto again = next.spawn([] { return lookup_host("slow.example:80"); });
  while (resolver.inside() != 2) std::this_thread::sleep_for(100us);
  resolver.answer();
  CHECK(again.join().error() == std::errc::io_error);
}

TEST_CASE("lookup_host: a look-up that hangs does not delay the end of the program") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    is_child = true;
    auto& resolver = *new HangingResolver;
    make_runtime(1).block_on([&resolver] {
      auto asking = ramie::spawn([] { return lookup_host("slow.example:80"); });
      wait_until([&] { return resolver.inside() == 1; });  // it has a thread now
      asking.cancel();
      if (asking.join().error() != errc::canceled) ::_exit(1);
    });
    std::exit(7);  // runs the destructors of all statics
  });
  INFO(end.messages);
  CHECK(end.exit_status == 7);
  CHECK(end.messages.empty());
}

TEST_CASE("lookup_host: a dump shows the name that a fiber waits for") {
  const Watchdog watchdog;
  HangingResolver resolver;
  Runtime runtime = make_runtime(1);
  auto asking = runtime.spawn([] { return lookup_host("slow.example:80"); });
  while (resolver.inside() == 0) std::this_thread::sleep_for(100us);
  std::string dump;
  while (dump.find("slow.example") == std::string::npos) dump = runtime.handle().dump();
  INFO(dump);
  CHECK(dump.find("look-up of a name") != std::string::npos);
  resolver.answer();
  CHECK_FALSE(asking.join().has_value());
}

TEST_CASE("lookup_host: a forked child can look up names") {
  const Watchdog watchdog;
  HangingResolver resolver;
  Runtime runtime = make_runtime(1);
  auto asking = runtime.spawn([] { return lookup_host("slow.example:80"); });
  while (resolver.inside() == 0) std::this_thread::sleep_for(100us);
  const auto end = ramie_test::run_in_child([&resolver] {
    resolver.answer();
    const auto found = make_runtime(1).block_on([] { return lookup_host("slow.example:80"); });
    ::_exit(found.error() == std::errc::io_error ? 0 : 1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  resolver.answer();
  CHECK_FALSE(asking.join().has_value());
}
