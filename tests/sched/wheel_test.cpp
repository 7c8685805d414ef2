// The timer wheel against a naive oracle: a map from fiber to deadline.
#include "sched/time/wheel.hpp"
#include "sched/fiber.hpp"
#include "tests/support/watchdog.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

using namespace ramie::sched;
using ramie_test::Watchdog;
namespace base = ramie::base;

namespace {

base::Instant at(Tick tick) {
  return base::Instant(base::Nanos(static_cast<std::int64_t>(tick << TimerSet::kTickShift)));
}

// Fibers that are parked and wait only for their deadline.
class Sleepers {
 public:
  explicit Sleepers(std::size_t n) : fibers_(n) {
    for (auto& fiber : fibers_) {
      fiber = std::make_unique<Fiber>();
      fiber->timer.owner = fiber.get();
    }
  }
  Fiber& operator[](std::size_t i) { return *fibers_[i]; }
  std::size_t size() const { return fibers_.size(); }

  void sleep(std::size_t i, Tick due, TimerWheel& wheel) {
    Fiber& fiber = *fibers_[i];
    fiber.word.reset();
    fiber.timer.deadline.store(at(due).time_since_epoch().count());
    REQUIRE(fiber.word.arm(FiberWord::Shield::no).armed);
    REQUIRE(fiber.word.commit() == FiberWord::Commit::parked);
    const Tick before = wheel.next();
    CHECK(wheel.insert(fiber.timer, due) == (due < before));
    due_[i] = due;
  }
  // Another waker ends the wait, and the entry leaves the wheel.
  void wake(std::size_t i, TimerWheel& wheel) {
    (void)fibers_[i]->word.request(FiberWord::kCancel);
    wheel.remove(fibers_[i]->timer);
    finish(i);
    due_.erase(i);
  }
  bool is_asleep(std::size_t i) const { return due_.contains(i); }
  std::size_t asleep() const { return due_.size(); }
  Tick earliest() const {
    Tick first = kNoTick;
    for (const auto& [i, due] : due_) first = std::min(first, due);
    return first;
  }

  // Advances both the wheel and the oracle. They must agree on which fibers are woken.
  void advance(Tick now, TimerWheel& wheel) {
    FiberList out;
    wheel.advance(now, at(now), out);
    std::set<Fiber*> woken;
    while (Fiber* fiber = out.pop_front()) CHECK(woken.insert(fiber).second);
    std::vector<std::size_t> expected;
    for (const auto& [i, due] : due_)
      if (due <= now) expected.push_back(i);
    CHECK(woken.size() == expected.size());
    for (const std::size_t i : expected) {
      CHECK(woken.contains(fibers_[i].get()));
      CHECK(fibers_[i]->word.claimed_by() == FiberWord::kByTimer);
      finish(i);
      due_.erase(i);
    }
    CHECK(wheel.size() == due_.size());
    CHECK(wheel.next() <= earliest());
    CHECK((wheel.next() > now));
  }

 private:
  void finish(std::size_t i) {
    CHECK_FALSE(fibers_[i]->timer.is_linked());
    fibers_[i]->word.finish();
  }

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::map<std::size_t, Tick> due_;
};

// A delay that lands on level 0..6 with the same probability (6: beyond the wheel).
Tick random_delay(std::mt19937_64& random) {
  const auto level = static_cast<unsigned>(random() % 7);
  return 1 + random() % (Tick{1} << (6 * (level + 1)));
}

}  // namespace

// Goal: no fiber is woken early, late or twice, on any level. Method: 20,000 random insertions,
// removals and steps of time, small and large, compared with a map.
TEST_CASE("TimerWheel: agrees with a naive oracle over random operations", "[sched][time]") {
  const Watchdog watchdog;
  const auto seed = GENERATE(std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3});
  std::mt19937_64 random(seed);
  TimerWheel wheel;
  Sleepers sleepers(200);
  Tick now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % sleepers.size();
    switch (random() % 4) {
      case 0:
      case 1:
        if (!sleepers.is_asleep(i)) sleepers.sleep(i, now + random_delay(random), wheel);
        break;
      case 2:
        if (sleepers.is_asleep(i)) sleepers.wake(i, wheel);
        break;
      default:
        now += random() % 16 == 0 ? random_delay(random) : random() % 100;
        sleepers.advance(now, wheel);
    }
  }
  for (std::size_t i = 0; i < sleepers.size(); ++i)
    if (sleepers.is_asleep(i)) sleepers.wake(i, wheel);
  CHECK(wheel.size() == 0);
  // Removed entries leave a few marks of empty slots behind. Each costs one look.
  int looks = 0;
  for (; wheel.next() != kNoTick; ++looks) sleepers.advance(wheel.next(), wheel);
  CHECK(looks <= 6 * 64);
}

TEST_CASE("TimerWheel: each level's borders are exact", "[sched][time]") {
  const Watchdog watchdog;
  for (const Tick start :
       {Tick{0}, Tick{63}, Tick{64}, Tick{4095}, (Tick{1} << 36U) - 1, (Tick{1} << 36U) + 12'345}) {
    for (unsigned level = 0; level <= 6; ++level) {
      for (const int offset : {-1, 0, 1}) {
        TimerWheel wheel;
        Sleepers sleepers(1);
        sleepers.advance(start, wheel);
        const Tick delay =
            (Tick{1} << (6 * level)) + static_cast<Tick>(offset) + (level == 0 ? Tick{1} : Tick{0});
        const Tick due = start + std::max<Tick>(delay, 1);
        INFO("from " << start << " to " << due);
        sleepers.sleep(0, due, wheel);
        sleepers.advance(due - 1, wheel);
        CHECK(sleepers.asleep() == 1);
        sleepers.advance(due, wheel);
        CHECK(sleepers.asleep() == 0);
      }
    }
  }
}

// Goal: a sleeper that follows next() needs only a few steps. Method: 100 timers on all levels.
TEST_CASE("TimerWheel: following next() reaches every deadline", "[sched][time]") {
  const Watchdog watchdog;
  std::mt19937_64 random(7);
  TimerWheel wheel;
  Sleepers sleepers(100);
  for (std::size_t i = 0; i < sleepers.size(); ++i) sleepers.sleep(i, random_delay(random), wheel);
  int turns = 0;
  while (sleepers.asleep() != 0) {
    sleepers.advance(wheel.next(), wheel);
    ++turns;
  }
  CHECK(turns < 100 * 10 + 2000);  // at most a cascade for each level, and turns of the last one
  CHECK(wheel.next() == kNoTick);
}

TEST_CASE("TimerWheel: an entry whose wait moved to a later deadline is looked at again",
          "[sched][time]") {
  const Watchdog watchdog;
  TimerWheel wheel;
  Fiber fiber;
  fiber.timer.owner = &fiber;
  fiber.word.reset();
  fiber.timer.deadline.store(at(100).time_since_epoch().count());
  REQUIRE(fiber.word.arm(FiberWord::Shield::no).armed);
  REQUIRE(wheel.insert(fiber.timer, 100));
  REQUIRE(fiber.word.disarm());
  fiber.timer.deadline.store(at(1000).time_since_epoch().count());  // one store, no lock
  REQUIRE(fiber.word.arm(FiberWord::Shield::no).armed);
  REQUIRE(fiber.word.commit() == FiberWord::Commit::parked);
  FiberList out;
  wheel.advance(100, at(100), out);
  CHECK(out.is_empty());
  CHECK(wheel.size() == 1);
  wheel.advance(999, at(999), out);
  CHECK(out.is_empty());
  wheel.advance(1001, at(1001), out);
  CHECK(out.size() == 1);
  CHECK(wheel.size() == 0);
  (void)out.pop_front();
}

TEST_CASE("TimerWheel: a fiber without an open wait is not woken, only told to look",
          "[sched][time]") {
  const Watchdog watchdog;
  TimerWheel wheel;
  Fiber fiber;
  fiber.timer.owner = &fiber;
  fiber.word.reset();
  fiber.timer.deadline.store(at(10).time_since_epoch().count());
  (void)wheel.insert(fiber.timer, 10);
  FiberList out;
  wheel.advance(10, at(10), out);
  CHECK(out.is_empty());
  CHECK(fiber.word.cancel_bits() == FiberWord::kScope);
  CHECK(wheel.size() == 0);
  fiber.word.finish();
}

TEST_CASE("TimerSet: far instants neither wrap nor come early", "[sched][time]") {
  const Watchdog watchdog;
  TimerSet set(1);
  const base::Instant now = base::now();
  CHECK(set.to_tick_up(base::kNever) == kNoTick);
  CHECK(set.to_instant(kNoTick) == base::kNever);
  const base::Instant almost = base::kNever - base::Nanos(1);
  CHECK(set.to_instant(set.to_tick_up(almost)) == base::kNever);
  const base::Instant far = now + std::chrono::hours(24 * 365 * 2);
  const Tick tick = set.to_tick_up(far);
  CHECK(set.to_instant(tick) >= far);
  CHECK(set.to_instant(tick - 1) < far);
  CHECK(set.to_tick_down(far) <= tick);
  CHECK(set.to_tick_up(now - std::chrono::hours(1)) == 0);
}
