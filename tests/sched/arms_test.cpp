// Tests one wait for several things, as select needs it: sched::Arm.
#include "sched/wait.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/task.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <mutex>

using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::Watchdog;

namespace {

// Something that one fiber may wait for, and another makes come.
struct Thing {
  ramie::base::Mutex mutex;
  ramie::sched::WaiterList waiters;
  bool has_come = false;

  void come() {
    ramie::sched::WakeList wakes;
    const std::lock_guard lock(mutex);
    has_come = true;
    if (ramie::sched::Waiter* waiter = waiters.pop_front()) (void)wakes.claim(*waiter);
  }
};

}  // namespace

TEST_CASE("Arm: a wait for two things ends with the one that comes, and leaves no waiter behind",
          "[sched][wait]") {
  const Watchdog watchdog;
  SchedRuntime runtime(GENERATE(std::size_t{1}, std::size_t{2}));
  for (const bool first_comes : {true, false}) {
    Thing first, second;
    bool was_first = false, was_second = false, was_linked = false;
    std::uint8_t ended_by = 255;
    const auto joined = runtime.run([&] {
      const auto has_first = [&] { return first.has_come; };
      const auto has_second = [&] { return second.has_come; };
      ramie::sched::Wait wait(ramie::sched::WaitKind::notify, nullptr);
      if (!wait.enter()) return;
      ramie::sched::Arm one(first.mutex, first.waiters, has_first, 0);
      ramie::sched::Arm two(second.mutex, second.waiters, has_second, 0);
      using Armed = decltype(one)::Armed;
      was_linked = one.arm(wait) == Armed::linked &&
                   two.arm(wait) == decltype(two)::Armed::linked && wait.is_armed();
      auto other = spawn([&] { (first_comes ? first : second).come(); });
      ended_by = wait.park();
      was_first = one.disarm();
      was_second = two.disarm();
      (void)other.join();
    });
    REQUIRE(joined.has_value());
    CHECK(was_linked);
    CHECK(ended_by == 0);
    CHECK(was_first == first_comes);
    CHECK(was_second == !first_comes);
    CHECK(first.waiters.is_empty());
    CHECK(second.waiters.is_empty());
  }
}

TEST_CASE("Arm: what is there already ends a wait that has armed another thing", "[sched][wait]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  Thing first, second;
  second.has_come = true;
  bool is_ready = false, was_free = false, was_taken = true, can_wait_again = false;
  const auto joined = runtime.run([&] {
    const auto has_first = [&] { return first.has_come; };
    const auto has_second = [&] { return second.has_come; };
    ramie::sched::Wait wait(ramie::sched::WaitKind::notify, nullptr);
    if (!wait.enter()) return;
    ramie::sched::Arm one(first.mutex, first.waiters, has_first, 0);
    ramie::sched::Arm two(second.mutex, second.waiters, has_second, 0);
    (void)one.arm(wait);
    is_ready = two.arm(wait) == decltype(two)::Armed::ready;
    was_free = wait.disarm();
    was_taken = one.disarm();
    can_wait_again = one.arm(wait) == decltype(one)::Armed::linked && wait.disarm();
    (void)one.disarm();
  });
  REQUIRE(joined.has_value());
  CHECK(is_ready);
  CHECK(was_free);
  CHECK_FALSE(was_taken);
  CHECK(can_wait_again);
  CHECK(first.waiters.is_empty());
}
