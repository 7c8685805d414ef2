// Closures, arguments and results whose copies and moves throw. What was constructed is destroyed,
// and nothing else, wherever the throw happens.
#include "tests/support/sched_runtime.hpp"

#include <ramie/scope.hpp>
#include <ramie/task.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <utility>

using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::Watchdog;

namespace {

std::atomic<int> alive{0};
std::atomic<int> until_throw{0};  // copies and moves until it throws; below 1: it never throws

void count_construction() {
  if (--until_throw == 0) throw std::runtime_error("this copy or move throws");
  ++alive;
}

// One size fits into a control block, the other does not.
template <std::size_t kBytes>
struct Bomb {
  Bomb() { ++alive; }
  Bomb(const Bomb&) { count_construction(); }
  Bomb(Bomb&&) { count_construction(); }
  Bomb& operator=(const Bomb&) = delete;
  ~Bomb() { --alive; }
  int operator()() const { return 1; }
  std::array<std::byte, kBytes> ballast{};
};

// Makes the nth copy or move throw, for each n. Returns the number of copies and moves.
template <class Act>
int walk(Act&& act) {
  for (int n = 1; n < 100; ++n) {
    until_throw = n;
    try {
      act();
    } catch (const std::runtime_error&) {
    }
    const bool has_thrown = until_throw <= 0;
    INFO("the throw number " << n);
    REQUIRE(alive == 0);
    if (!has_thrown) return n - 1;
  }
  return 100;
}

template <std::size_t kBytes>
void walk_all() {
  using Charge = Bomb<kBytes>;
  const auto options = ramie::SpawnOptions{.name = "bomb"};
  CHECK(walk([] { (void)spawn(Charge()).join(); }) >= 2);
  CHECK(walk([&] { (void)spawn(options, Charge()).join(); }) >= 2);
  CHECK(walk([] { (void)ramie::spawn_blocking(Charge()).join(); }) >= 2);
  CHECK(walk([] { (void)spawn([bomb = Charge()] { return bomb(); }).join(); }) >= 2);
  CHECK(walk([] { (void)spawn([](const Charge& bomb) { return bomb(); }, Charge()).join(); }) >= 2);
  CHECK(walk([] { (void)spawn([](Charge bomb) { return bomb(); }, Charge()).join(); }) >= 3);
  CHECK(walk([] {
          ramie::Scope scope;
          (void)scope.spawn(Charge());
          (void)scope.join();
        }) >= 2);
  CHECK(walk([] {
          ramie::Scope scope(ramie::on_failure::cancel);
          (void)scope.spawn([](const Charge& bomb) { (void)bomb(); }, Charge());
          (void)scope.join();
        }) >= 2);
  // Results: made in the fiber, moved out by join(), or dropped.
  CHECK(walk([] { (void)spawn([] { return Charge(); }).join(); }) >= 1);
  CHECK(walk([] {
          auto handle = spawn([] {
            Charge bomb;
            return std::pair<Charge, int>(bomb, 1);
          });
          (void)handle.join();
        }) >= 2);
  // Never runs: a cancel drops it.
  CHECK(walk([] {
          auto handle = spawn(Charge());
          handle.cancel();
          (void)handle.join();
        }) >= 1);
}

}  // namespace

TEST_CASE("Closures and results whose copies or moves throw are destroyed once, and none is lost",
          "[sched][exceptions]") {
  const Watchdog watchdog;
  SchedRuntime runtime(GENERATE(std::size_t{1}, std::size_t{2}));
  SECTION("in a control block") { walk_all<8>(); }
  SECTION("beside it") { walk_all<400>(); }
}
