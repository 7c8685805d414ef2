// Tests stacks that cannot be allocated or guarded, and fibers that therefore never run.
#include "sched/base/annotate.hpp"
#include "sched/stack.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/text.hpp"

#include <ramie/scope.hpp>

#include <unistd.h>
#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::SpawnOptions;
using ramie::sched::GuardMethod;
using ramie::sched::Stack;
using ramie::sched::StackPool;

constexpr SpawnOptions kOddStack{.stack_size = 1 << 20};  // mapped for this fiber alone
constexpr std::size_t kOdd = 1 << 20;

StackPool pool_with(GuardMethod method) { return StackPool({.guard = method}); }

ChildEnd run_alone(const char* test) {
  return run_in_child([test] {
    ::execl("/proc/self/exe", "alone", test, nullptr);
    ::_exit(99);
  });
}

}  // namespace

TEST_CASE("Stack: mprotect makes a guard that madvise refuses, the first one and any other") {
  for (const char* refused :
       {"madvise 1.. EINVAL", "madvise 3.. EINVAL", "madvise 2 EINVAL", "madvise 1.. EPERM",
        "madvise 3.. EPERM", "madvise 1.. ENOSYS", "madvise 3.. ENOSYS", "madvise 2.. EACCES"}) {
    CAPTURE(refused);
    StackPool pool = pool_with(GuardMethod::automatic);
    const PlannedFaults faults(std::string(refused) + "; mprotect 999999 EIO");
    std::vector<Stack*> stacks;
    for (const std::size_t size : {kOdd, kOdd, kOdd, kOdd}) {
      int error = 0;
      stacks.push_back(pool.take(size, error));
      CHECK(error == 0);
      REQUIRE(stacks.back() != nullptr);
      CHECK(stacks.back()->guards(static_cast<const char*>(stacks.back()->low()) - 1));
    }
    CHECK(faults.calls(1) >= faults.hits(0));  // each refusal was replaced
    for (Stack* stack : stacks) pool.give_back(stack);
    CHECK(pool.taken() == 0);
  }
}

TEST_CASE("Stack: guards that failed do not count against the limit of mappings") {
  StackPool pool = pool_with(GuardMethod::mprotect);
  long limit = 65530;
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  const long tries = limit * 45 / 100 / 2 + 10;
  int error = 0;
  {
    const PlannedFaults faults("mprotect 1.. ENOMEM");
    for (long i = 0; i < tries; ++i) {
      if (pool.take(kOdd, error) == nullptr && error == -ENOMEM) continue;
      FAIL("a stack without its guard");
    }
    CHECK(faults.hits() == static_cast<unsigned>(tries));
  }
  Stack* stack = pool.take(kOdd, error);
  REQUIRE(stack != nullptr);
  pool.give_back(stack);
}

// Goal: guards that the kernel promises but does not make (an emulator) are made by mprotect.
// Method: the look at the first guard, which is the second call, does not find it.
TEST_CASE("Stack: mprotect makes the guards if the first one by madvise is none") {
  for (const char* found : {"madvise 2 EINVAL", "madvise 2 ENOMEM", "madvise 2 EACCES"}) {
    CAPTURE(found);
    StackPool pool = pool_with(GuardMethod::automatic);
    const PlannedFaults faults(std::string(found) + "; mprotect 999999 EIO");
    for (int i = 0; i < 2; ++i) {
      int error = 0;
      Stack* stack = pool.take(kOdd, error);
      REQUIRE(stack != nullptr);
      pool.give_back(stack);
    }
    CHECK(pool.guard_method() == GuardMethod::mprotect);
    CHECK(faults.calls(1) == 2);
  }
}

// At the kernel's limit every mmap and every new thread of the process would fail, so stop earlier.
TEST_CASE(
    "Stack: guards by mprotect stop at 45 % of the mappings with an error, and work again later") {
  long limit = 65530;
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  if (limit > 200'000) RAMIE_SKIP("needs a vm.max_map_count of 200,000 at most");
  StackPool pool = pool_with(GuardMethod::mprotect);
  std::vector<Stack*> stacks;
  int error = 0;
  while (Stack* stack = pool.take(20 * 1024, error)) stacks.push_back(stack);
  CHECK(error == -ENOMEM);
  CHECK(stacks.size() == static_cast<std::size_t>(limit * 45 / 100 / 2));
  if (RAMIE_TSAN == 0)  // it makes its own mappings for each
    CHECK(mappings() < static_cast<std::size_t>(limit) / 2);
  pool.give_back(stacks.back());
  stacks.back() = pool.take(20 * 1024, error);
  CHECK(stacks.back() != nullptr);
  for (Stack* stack : stacks) pool.give_back(stack);
}

// Each process prints it once, so these tests run as separate programs.
TEST_CASE("Alone: mprotect guards until there are no more", "[.]") {
  StackPool pool = pool_with(GuardMethod::mprotect);
  std::vector<Stack*> stacks;
  int error = 0;
  while (Stack* stack = pool.take(20 * 1024, error)) stacks.push_back(stack);
  (void)pool.take(20 * 1024, error);
  ::_exit(error == -ENOMEM ? 0 : 1);
}
TEST_CASE("Alone: no mapping for a stack", "[.]") {
  StackPool pool = pool_with(GuardMethod::automatic);
  const PlannedFaults faults("mmap 1.. ENOMEM");
  int error = 0;
  ::_exit(pool.take(0, error) == nullptr && pool.take(kOdd, error) == nullptr ? 0 : 1);
}

// "Cannot allocate memory" alone would make people look for memory.
TEST_CASE("Stack: when guards by mprotect stop, one line names the limit to raise") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  const auto end = run_alone("Alone: mprotect guards until there are no more");
  CHECK(end.exit_status == 0);
  const std::string& text = end.messages;
  CHECK(end.says("vm.max_map_count="));
  CHECK(end.says("sysctl -w vm.max_map_count="));
  CHECK(end.says("RAMIE_STACK_GUARD=off"));
  CHECK(text.find("no more stacks") == text.rfind("no more stacks"));
}

TEST_CASE("Stack: without memory for a stack one line names the limits to check") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  const auto end = run_alone("Alone: no mapping for a stack");
  CHECK(end.exit_status == 0);
  CHECK(end.says("no memory for another stack"));
  CHECK(end.says("vm.overcommit_memory"));
}

TEST_CASE(
    "Scope: join() reports a child that never ran for lack of a stack, and cancels the others") {
  in_runtime(2, [] {
    bool was_canceled = false;
    bool has_run = false;
    ramie::Scope scope;
    REQUIRE(scope.spawn([&] { was_canceled = !ramie::sleep_for(1h).has_value(); }));
    REQUIRE(until_parked(ramie::sched::WaitKind::sleep, 1));
    {
      const PlannedFaults faults("mmap 1.. ENOMEM");
      REQUIRE(scope.spawn(kOddStack, [&] { has_run = true; }));
      CHECK(error_of(scope.join()) == std::errc::not_enough_memory);
      // Under the race detector no stack is used twice, so the closure's end asks for another one.
      CHECK(faults.hits() == (RAMIE_TSAN != 0 ? 2 : 1));
    }
    CHECK_FALSE(has_run);
    CHECK(was_canceled);
    CHECK(scope.join().has_value());  // reported only once
  });
}

TEST_CASE("A fiber that got no stack and is not joined is reported, at most once a second") {
  const ChildEnd end = run_in_child([] {
    auto runtime = make_runtime(2);
    runtime.block_on([] {
      const PlannedFaults faults("mmap 1.. ENOMEM");
      (void)ramie::sleep_for(1100ms);  // another test may have used this second's line
      ramie::Scope scope(ramie::on_failure::report);
      for (int i = 0; i < 10; ++i) {
        ramie::spawn(kOddStack, [] {}).detach();
        (void)scope.spawn(kOddStack, [] {});
      }
      if (!scope.join()) ::_exit(1);  // the policy is `report`
      auto joined = ramie::spawn(kOddStack, [] {});
      if (error_of(joined.join()) != std::errc::not_enough_memory) ::_exit(2);
    });
    if (!runtime.shutdown(10s).empty()) ::_exit(3);
  });
  CHECK(end.exit_status == 0);
  INFO(end.messages);
  CHECK(count(end.messages, "never ran, and nobody joins it: Cannot allocate memory") == 1);
}

TEST_CASE("Scope: its end reports a child that never ran if join() did not ask") {
  const ChildEnd end = run_in_child([] {
    auto runtime = make_runtime(1);
    runtime.block_on([] {
      const PlannedFaults faults("mmap 1.. ENOMEM");
      ramie::Scope scope;
      (void)scope.spawn(kOddStack, [] {});
    });
  });
  CHECK(end.exit_status == 0);
  CHECK(count(end.messages, "never ran, and its Scope ended without a join()") == 1);
}
