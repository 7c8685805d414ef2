// Goal: the checker's walks find deep bugs, can be repeated, and report what they did. Objects made
// in a run must be destroyed in it, once. Condition variables lose notifications as real ones do.
// Method: tiny bodies with a planted fault.
#include "tests/model/model.hpp"
#include "tests/model/parcel.hpp"
#include "tests/model/thread.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <mutex>
#include <string>

using namespace ramie::model;

namespace {

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Fails only if A1 < B1, B2 < A2 and A3 < B3: a bug of depth 3, behind steps without effect.
void deep_bug() {
  Atomic<int> a{0}, b{0}, noise{0};
  const auto idle = [&] {
    for (int i = 0; i < 10; ++i) noise.fetch_add(1, Order::relaxed);
  };
  Thread one([&] {
    a.store(1);  // A1
    idle();
    if (b.load() == 1) a.store(2);  // A2, A3
  });
  Thread two([&] {
    idle();
    if (a.load() != 1) return;  // B1
    b.store(1);                 // B2
    idle();
    check(a.load() != 2, "the deep bug");  // B3
  });
  Thread three(idle);
}

Result walk(Mode mode, std::uint64_t seed, long walks = 20'000) {
  return explore(deep_bug, {.mode = mode, .seed = seed, .walks = walks});
}

}  // namespace

TEST_CASE("Walks: pct finds a planted bug of depth 3, whatever the seed is") {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Result found = walk(Mode::pct, seed);
    REQUIRE(contains(found.why, "the deep bug"));
    const Result again = explore(deep_bug, {.replay = found.path});
    CHECK(again.execs == 1);
    CHECK(again.why == found.why);
  }
}

TEST_CASE("Walks: pct of too small a depth does not find it, a random walk does") {
  const Result shallow = explore(deep_bug, {.mode = Mode::pct, .walks = 2'000, .depth = 1});
  CHECK(shallow.ok);
  CHECK(shallow.exhausted);
  CHECK(shallow.execs == 2'000);
  const Result found = walk(Mode::random, 1);
  CHECK(contains(found.why, "the deep bug"));
  CHECK(explore(deep_bug, {.replay = found.path}).why == found.why);
}

TEST_CASE("Walks: the same seed makes the same walks, another one makes others") {
  const Result first = walk(Mode::random, 7);
  const Result second = walk(Mode::random, 7);
  REQUIRE_FALSE(first.ok);
  CHECK(first.execs == second.execs);
  CHECK(first.path == second.path);
  CHECK(walk(Mode::random, 8).path != first.path);
}

TEST_CASE("Walks: values are drawn too: a stale load is found") {
  const auto stale = [] {
    Atomic<int> x{0}, y{0};
    Thread one([&] {
      x.store(1, Order::relaxed);
      y.store(1, Order::relaxed);
    });
    if (y.load(Order::relaxed) == 1) check(x.load(Order::relaxed) == 1, "stale");
  };
  for (const Mode mode : {Mode::random, Mode::pct}) {
    CHECK(contains(explore(stale, {.mode = mode}).why, "stale"));
    CHECK(explore(stale, {.mode = mode, .weak = false}).ok);
  }
}

TEST_CASE("Checker: what a run makes it must destroy: a leak is found, in one schedule of many") {
  const auto body = [](bool leaks) {
    return [leaks] {
      Atomic<Parcel*> box{nullptr};
      Thread giver([&] { box.store(new Parcel(7), Order::release); });
      Parcel* taken = box.exchange(nullptr, Order::acq_rel);
      delete taken;
      giver.join();
      if (!leaks) delete box.exchange(nullptr, Order::acq_rel);
    };
  };
  CHECK(contains(explore(body(true)).why, "a leak: 1 objects"));
  CHECK(explore(body(false)).ok);
  const auto atomic = explore([] { (void)std::make_unique<Atomic<int>>(1).release(); });
  CHECK(contains(atomic.why, "a leak"));
  const auto event = explore([] { (void)std::make_unique<Event>().release(); });
  CHECK(contains(event.why, "a leak"));
}

TEST_CASE("Checker: a use after the delete, and a second delete, are found") {
  const auto use = explore([] {
    auto* number = new Atomic<int>(1);
    Thread user([&] { number->store(2); });
    user.join();
    delete number;
    (void)number->load();
  });
  CHECK(contains(use.why, "was destroyed"));
  const auto twice = explore([] {
    void* volatile memory = ::operator new(8);
    ::operator delete(memory);
    ::operator delete(memory);
  });
  CHECK(contains(twice.why, "deleted twice"));
}

TEST_CASE("Checker: a notification that comes before the wait is lost, a predicate keeps it") {
  const auto body = [](bool looks) {
    return [looks] {
      Mutex mutex;
      Condvar condvar;
      Cell<bool> is_ready{false};
      OsThread waiter([&] {
        std::unique_lock lock(mutex);
        condvar.wait(lock, [&, first = !looks]() mutable {
          return !std::exchange(first, false) && is_ready;
        });
      });
      {
        const std::lock_guard lock(mutex);
        is_ready = true;
      }
      condvar.notify_one();
      waiter.join();
    };
  };
  CHECK(contains(explore(body(false)).why, "lost wake-up"));
  CHECK(explore(body(true)).ok);
  CHECK(explore(body(true), {.spurious = true}).ok);
}

TEST_CASE("Checker: a condition variable wakes one or all, for nothing, or when the time is over") {
  const auto woken = [](bool all) {
    return [all] {
      Mutex mutex;
      Condvar condvar;
      Cell<int> waiting{0};
      const auto wait = [&] {
        std::unique_lock lock(mutex);
        waiting = waiting + 1;
        condvar.wait(lock);
      };
      Thread one(wait), two(wait);
      for (;; yield()) {
        const std::lock_guard lock(mutex);
        if (waiting != 2) continue;
        all ? condvar.notify_all() : condvar.notify_one();
        break;
      }
    };
  };
  CHECK(explore(woken(true)).ok);
  CHECK(contains(explore(woken(false)).why, "lost wake-up"));
  const auto timed = [] {
    Mutex mutex;
    Condvar condvar;
    std::unique_lock lock(mutex);
    const auto soon = std::chrono::steady_clock::time_point();
    check(condvar.wait_until(lock, soon) == std::cv_status::timeout, "nobody woke it");
  };
  CHECK(explore(timed).ok);
  CHECK(contains(explore(timed, {.spurious = true}).why, "nobody woke it"));
}

TEST_CASE("Checker: a thread that is switched away in a catch block keeps its exception") {
  const auto body = [] {
    Atomic<int> steps{0};
    const auto thrower = [&](int mine) {
      try {
        throw mine;
      } catch (int caught) {
        steps.fetch_add(1);
        check(caught == mine, "another thread's exception");
        try {
          throw;
        } catch (int again) {
          check(again == mine, "another thread's exception");
        }
      }
    };
    Thread one([&] { thrower(1); }), two([&] { thrower(2); });
    thrower(3);
  };
  const Result result = explore(body);
  CHECK(result.ok);
  CHECK(result.execs > 1);
}
