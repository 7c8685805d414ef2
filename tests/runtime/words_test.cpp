// The texts that a user reads: where a fiber was spawned, shortened stacks and names, dumps of many
// fibers, which fiber holds a lock, which fiber threw an exception.
#include "sched/base/annotate.hpp"
#include "sched/base/symbols.hpp"
#include "sched/detectors.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/pattern.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/text.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using ramie::base::shorten;
using ramie_test::comes_true;
using ramie_test::count;
using ramie_test::has;
using ramie_test::make_runtime;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;
using ramie_test::Watchdog;

namespace words_test {

void park(ramie::sync::Notify& notify) { (void)notify.wait(); }

[[gnu::noinline]] void start_all(ramie::Scope& scope, ramie::sync::Notify& notify) {
  (void)scope.spawn(park, std::ref(notify));
  (void)scope.spawn({.name = "named"}, park, std::ref(notify));
}

}  // namespace words_test

namespace {

// The first dump with this text, or the last dump if none has it.
std::string dump_with(const ramie::runtime::Runtime& runtime, const std::string& pattern) {
  std::string text;
  (void)comes_true([&] { return has(text = runtime.handle().dump(), pattern); });
  return text;
}

}  // namespace

TEST_CASE("Names: a template's result goes first, then arguments, then parameters", "[words]") {
  CHECK(shorten("main") == "main");
  CHECK(shorten("ns::f(int, char)") == "ns::f(int, char)");
  CHECK(shorten("std::expected<void, std::error_code> ramie::sleep_for<long>(long)") ==
        "ramie::sleep_for<long>(long)");
  CHECK(shorten("void f<int>(std::map<int, int>)", 25) == "f<...>(std::map<...>)");
  CHECK(shorten("void f<int>(std::map<int, int>)", 20) == "f<...>(...)");
  CHECK(shorten("f(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, b)", 20) == "f(...)");
  CHECK(shorten("A::operator<(A const&) const", 80) == "A::operator<(A const&) const");
  CHECK(shorten("bool operator< <int>(B<int> const&, B<int> const&)", 30).starts_with("operator<"));
  CHECK(shorten("A::operator bool() const") == "A::operator bool() const");
  CHECK(shorten("(anonymous namespace)::f(int)") == "(anonymous namespace)::f(int)");
  CHECK(shorten("decltype(auto) std::apply<F, T>(F&&, T&&)") == "std::apply<F, T>(F&&, T&&)");
  CHECK(shorten("f(std::__cxx11::basic_string<char, std::char_traits<char>, "
                "std::allocator<char> >)") == "f(std::string)");
  const std::string monster =
      "void g<" + std::string(600, 'x') + ">(std::tuple<" + std::string(600, 'y') + ">)";
  CHECK(shorten(monster) == "g<...>(std::tuple<...>)");
  CHECK(shorten(std::string(600, 'z')).size() <= 83);
  for (const char* strange :
       {"", "<", ">", "(", "operator", "a<b", "a>b", "f<(x)>(", "{lambda()#1}"})
    CHECK(shorten(strange).size() <= 83);
}

TEST_CASE("The spawn site is the user's line, whichever function spawned it", "[words]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  const auto handle = runtime.handle();
  ramie::sync::Notify notify;
  std::vector<ramie::JoinHandle<void>> fibers;
  const auto keep = [&](auto started) { fibers.push_back(std::move(started)); };
  const int first = __LINE__ + 1;
  keep(runtime.spawn(words_test::park, std::ref(notify)));
  keep(runtime.spawn(ramie::SpawnOptions{}, [&] { words_test::park(notify); }));
  keep(handle.spawn(words_test::park, std::ref(notify)));
  keep(handle.spawn(ramie::SpawnOptions{}, [&] { words_test::park(notify); }));
  const auto guard = runtime.enter();
  keep(ramie::spawn(words_test::park, std::ref(notify)));
  keep(ramie::spawn(ramie::SpawnOptions{}, [&] { words_test::park(notify); }));
  const int last = __LINE__ - 1;
  const std::string text = dump_with(runtime, "6 parked");
  INFO(text);
  CHECK(count(text, "task.hpp") == 0);
  CHECK(count(text, "runtime.hpp") == 0);
  for (const auto& fiber : fibers) {
    const auto lines =
        ramie_test::groups(text, "  " + std::to_string(fiber.id()) +
                                     " '.*, spawned in .* at words_test.cpp:([0-9]+)\n");
    REQUIRE(!lines.empty());
    CHECK(std::stoi(lines[0]) >= first);
    CHECK(std::stoi(lines[0]) <= last);
  }
  for (auto& fiber : fibers) {
    fiber.cancel();
    CHECK(fiber.join().has_value());
  }
}

TEST_CASE("The spawn site of a Scope's child is the line with the spawn; stacks have no helpers",
          "[words]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  ramie::sync::Notify notify;
  auto owner = runtime.spawn(
      [&] { ramie::scope([&](ramie::Scope& scope) { words_test::start_all(scope, notify); }); });
  const std::string text = dump_with(runtime, "3 parked");
  owner.cancel();
  (void)owner.join();
  INFO(text);
  CHECK(has(text, "2 fibers parked: Notify"));
  CHECK(count(text, "spawned in words_test::start_all") == 2);
  CHECK(count(text, "__invoke") == 0);
  CHECK(count(text, "std::apply") == 0);
  CHECK(count(text, "words_test::park") >= 1);
  CHECK(has(text, "1 fiber parked: Scope\n.*2 children left"));
}

// Goal: a dump of many fibers can be read, and fibers that it does not show are counted.
TEST_CASE("Dump: of a large group a few are shown, the others counted with their site", "[words]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  ramie::sync::Notify notify;
  std::vector<ramie::JoinHandle<void>> fibers;
  for (int i = 0; i < 5000; ++i)
    fibers.push_back(runtime.spawn(words_test::park, std::ref(notify)));
  const std::string text = dump_with(runtime, "5000 fibers parked: Notify");
  INFO(text.substr(0, 3000));
  CHECK(
      has(text, "\n  and 4992 more, from [0-9]+ to [0-9]+, for up to .*, spawned in .*words_test"));
  CHECK(text.size() < 5000);
  std::size_t longest = 0;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    longest = std::max(longest, end - at);
  CHECK(longest < 300);
  for (auto& fiber : fibers) fiber.cancel();
  for (auto& fiber : fibers) CHECK(fiber.join().has_value());
}

TEST_CASE("Dump: a fiber that waits for a Mutex shows which fiber took it", "[words]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  ramie::sync::Mutex mutex;
  ramie::sync::Notify notify;
  std::atomic<bool> is_taken{false};
  const int how = GENERATE(0, 1, 2);
  CAPTURE(how);
  auto owner = runtime.handle().spawn(ramie::SpawnOptions{.name = "owner"}, [&] {
    if (how == 0) mutex.lock();
    else if (how == 1) (void)mutex.try_lock();
    else (void)mutex.lock_cancelable();
    const std::lock_guard lock(mutex, std::adopt_lock);
    is_taken = true;
    (void)notify.wait();
  });
  REQUIRE(comes_true([&] { return is_taken.load(); }));
  auto waiter = runtime.spawn([&] { const std::lock_guard lock(mutex); });
  const std::string text = dump_with(runtime, "2 parked");
  INFO(text);
  CHECK(has(text, "parked: Mutex\n  [0-9]+ '', 0x[0-9a-f]+, taken by fiber " +
                      std::to_string(owner.id()) + " 'owner', for"));
  owner.cancel();
  CHECK(owner.join().has_value());
  CHECK(waiter.join().has_value());
  mutex.lock();  // now this thread, which is no fiber, has it
  auto other = runtime.spawn([&] { const std::lock_guard lock(mutex); });
  const std::string outside = dump_with(runtime, "parked: Mutex");
  mutex.unlock();
  CHECK(other.join().has_value());
  INFO(outside);
  CHECK(has(outside, "taken by a fiber that is not parked, or by a thread"));
}

TEST_CASE("Dump: other waits tell what they wait for, too", "[words]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  ramie::sync::Semaphore semaphore(1);
  auto sleeper = runtime.handle().spawn(ramie::SpawnOptions{.name = "sleeper"},
                                        [] { return ramie::sleep_for(1h); });
  auto joiner = runtime.spawn([&] { return sleeper.join(); });
  auto asking = runtime.spawn([&] { return semaphore.acquire(2); });
  auto limited = runtime.spawn(
      [&] { return ramie::timeout(2h, [] { return ramie::sync::Notify().wait(); }); });
  const std::string text = dump_with(runtime, "4 parked");
  INFO(text);
  CHECK(has(text, "parked: join\n.*, fiber " + std::to_string(sleeper.id()) + " 'sleeper', for"));
  CHECK(has(text, "parked: Semaphore\n.* with 1 permits free, for"));
  CHECK(has(text, "parked: sleep\n.*, 3[56][0-9][0-9]\\.[0-9] s left"));
  CHECK(has(text, "parked: Notify\n.*, 7[12][0-9][0-9]\\.[0-9] s left"));
  sleeper.cancel();
  asking.cancel();
  limited.cancel();
  CHECK_FALSE(joiner.join().has_value());
  CHECK_FALSE(asking.join().has_value());
  CHECK_FALSE(limited.join().has_value());
}

TEST_CASE("A Scope's report of an exception names the child, and where it was spawned", "[words]") {
  const auto end = run_in_child([] {
    auto runtime = make_runtime(1);
    runtime.block_on([] {
      ramie::Scope scope;
      (void)scope.spawn({.name = "culprit"}, [] { throw std::runtime_error("it broke"); });
      ramie::yield_now();
    });
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(has(end.messages,
            "ramie: fiber [0-9]+ 'culprit' \\(spawned in .* at words_test.cpp:[0-9]+\\) "
            "ended with an exception, .*Scope.*: it broke\n"));
}

// The symbols are read on another thread: the fiber may have little stack left.
TEST_CASE("An exception is reported with its site from the smallest stack", "[words]") {
  const auto end = run_in_child([] {
    auto runtime = ramie::or_throw(quiet_builder(1).process_wide(true).build());
    runtime.block_on([] {
      ramie::spawn({.name = "small", .stack_size = 16 << 10}, [] { throw 1; }).detach();
      (void)ramie::sleep_for(5ms);
    });
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(has(end.messages, "'small' \\(spawned in .* at words_test.cpp:[0-9]+\\) ended with"));
}

TEST_CASE("scope(): children end before the caller's locals", "[words][scope]") {
  const Watchdog watchdog;
  auto runtime = make_runtime(2);
  runtime.block_on([] {
    std::string text;
    const int result = ramie::scope([&](ramie::Scope& scope) {
      (void)scope.spawn([&] {
        (void)ramie::sleep_for(5ms);
        text = "there";
      });
      return 7;
    });
    if (result != 7 || text != "there") std::abort();
  });
  CHECK_THROWS_WITH(runtime.block_on([] {
    ramie::scope([](ramie::Scope& scope) {
      (void)scope.spawn([] { throw std::runtime_error("of a child"); });
    });
  }),
                    "of a child");
  std::atomic<bool> has_begun{false};
  bool was_canceled = false;
  CHECK_THROWS_WITH(runtime.block_on([&] {
    ramie::scope([&](ramie::Scope& scope) {
      (void)scope.spawn([&] {
        has_begun = true;
        was_canceled = !ramie::sleep_for(1h);
      });
      while (!has_begun) ramie::yield_now();
      throw std::runtime_error("of the function");
    });
  }),
                    "of the function");
  CHECK(was_canceled);
  // A cancel of the caller ends the children, and they are waited for.
  bool has_ended = false;
  auto caller = runtime.spawn([&] {
    ramie::scope([&](ramie::Scope& scope) {
      (void)scope.spawn([&] {
        (void)ramie::sleep_for(1h);
        has_ended = true;
      });
    });
    return has_ended;
  });
  const std::string text = dump_with(runtime, "2 parked");
  INFO(text);
  REQUIRE(has(text, "parked: Scope"));
  REQUIRE(has(text, "parked: sleep"));
  caller.cancel();
  CHECK(caller.join() == true);
}

TEST_CASE("(two runtimes, for the next case)", "[.]") {
  (void)make_runtime(1);
  (void)make_runtime(1);
}

TEST_CASE("A detector that this build does not know is named in one line", "[words]") {
  using ramie::sched::Detector;
  for (const auto detector : {Detector::tsan, Detector::asan, Detector::valgrind})
    CHECK(std::string(ramie::sched::hint_of(detector)).find("Build Ramie with") !=
          std::string::npos);
}

TEST_CASE("A valgrind that this build does not know is named on stderr", "[words]") {
  if (ramie::sched::unknown_detector() != ramie::sched::Detector::none)
    RAMIE_SKIP("this program runs in such a detector");
  if (RAMIE_VALGRIND != 0) RAMIE_SKIP("this build tells valgrind about stacks");
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  const auto end = run_in_child([] {
    ::setenv("LD_PRELOAD", "vgpreload_core-amd64-linux.so",
             1);  // the loader prints that it does not exist
    ::execl("/proc/self/exe", "words", "(two runtimes*", nullptr);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(count(end.messages, "this program runs under valgrind") == 1);
}
