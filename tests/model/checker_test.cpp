// Goal: the checker itself works: it finds each kind of failure, replays it, keeps to its budgets,
// and DPOR drops no outcome.
// Method: tiny bodies with a known result. For random programs the outcomes with DPOR are compared
// with those of the plain search over all schedules.
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace ramie::model;

namespace {

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

void lost_update() {
  Atomic<int> count{0};
  const auto add = [&] { count.store(count.load(Order::relaxed) + 1, Order::relaxed); };
  {
    Thread one(add), two(add), three(add);
  }
  check(count.load() == 3, "lost update");
}

}  // namespace

TEST_CASE("Checker: a load and a store instead of a read-modify-write lose an update") {
  CHECK(contains(explore(lost_update).why, "lost update"));
  const Result right = explore([] {
    Atomic<int> count{0};
    const auto add = [&] { count.fetch_add(1, Order::relaxed); };
    {
      Thread one(add), two(add), three(add);
    }
    check(count.load() == 3, "lost update");
  });
  CHECK(right.ok);
  CHECK(right.exhausted);
}

TEST_CASE("Checker: the path of a failure replays it in one run") {
  const Result found = explore(lost_update);
  REQUIRE_FALSE(found.ok);
  const Result again = explore(lost_update, {.replay = found.path});
  CHECK(again.execs == 1);
  CHECK(again.why == found.why);
  CHECK(again.path == found.path);
  const Result other = explore([] { Thread one([] { yield(); }); }, {.replay = found.path});
  CHECK(contains(other.why, "does not follow its path"));
}

TEST_CASE("Checker: budgets end the search and say so") {
  const auto wide = [] {
    Atomic<int> x{0};
    const auto spin = [&] { for (int i = 0; i < 4; ++i) x.fetch_add(1); };
    Thread one(spin), two(spin), three(spin);
  };
  const Result cut = explore(wide, {.preemptions = -1, .max_execs = 10});
  CHECK(cut.ok);
  CHECK_FALSE(cut.exhausted);
  CHECK(cut.execs == 10);
  const Result bounded = explore(wide, {.preemptions = 1});
  CHECK(bounded.exhausted);
  CHECK(bounded.bound == 1);
  const Result timed = explore(wide, {.preemptions = -1, .max_seconds = 0});
  CHECK(timed.execs == 1);
  CHECK_FALSE(timed.exhausted);
}

TEST_CASE("Checker: a small space is exhausted without touching the bound") {
  const Result result = explore([] {
    Atomic<int> x{0};
    Thread one([&] { x.store(1); });
    Thread two([&] { (void)x.load(); });
  });
  CHECK(result.exhausted);
  CHECK(result.bound == -1);
}

TEST_CASE("Checker: locks taken in opposite orders are a deadlock") {
  const Result result = explore([] {
    Mutex a, b;
    Thread one([&] { a.lock(); b.lock(); b.unlock(); a.unlock(); });
    Thread two([&] { b.lock(); a.lock(); a.unlock(); b.unlock(); });
  });
  CHECK(contains(result.why, "deadlock"));
}

TEST_CASE("Checker: a mutex orders plain data, and is held by one") {
  const auto program = [](bool locked) {
    Mutex mutex;
    Cell<int> count{0};
    const auto add = [&] {
      if (locked) mutex.lock();
      count = count + 1;
      if (locked) mutex.unlock();
    };
    {
      Thread one(add), two(add);
    }
    check(count == 2, "lost update");
  };
  CHECK(explore([&] { program(true); }).ok);
  CHECK(contains(explore([&] { program(false); }).why, "data race"));
  const Result twice = explore([] {
    Mutex mutex;
    mutex.lock();
    check(!mutex.try_lock(), "taken twice");
    mutex.unlock();
    check(mutex.try_lock(), "not free");
    mutex.unlock();
  });
  CHECK(twice.ok);
  const Result stranger = explore([] {
    Mutex mutex;
    mutex.lock();
    Thread other([&] { mutex.unlock(); });
  });
  CHECK(contains(stranger.why, "does not hold it"));
}

TEST_CASE("Checker: a futex sleeps only on the expected value, so no wake-up is lost") {
  const auto program = [](bool store_first) {
    Atomic<std::uint32_t> word{0};
    Thread waker([&] {
      if (store_first) word.store(1, Order::release);
      (void)futex_wake(word, 1);
      if (!store_first) word.store(1, Order::release);
    });
    while (word.load(Order::acquire) == 0) futex_wait(word, 0);
  };
  CHECK(explore([&] { program(true); }).ok);
  CHECK(explore([&] { program(true); }, {.spurious = true}).ok);
  CHECK(contains(explore([&] { program(false); }).why, "deadlock"));
}

TEST_CASE("Checker: a timed wait may end at any time and is no deadlock") {
  bool timed_out = false;
  bool woken = false;
  const Result result = explore([&] {
    Atomic<std::uint32_t> word{0};
    Event event;
    Thread waker([&] {
      word.store(1);
      (void)futex_wake(word, 1);
    });
    if (word.load() == 0) (futex_wait_for(word, 0) ? woken : timed_out) = true;
    check(!event.wait_for(), "nobody signals it");
  });
  CHECK(result.ok);
  CHECK(timed_out);
  CHECK(woken);
}

TEST_CASE("Checker: futex_wake(1) may wake any sleeper, and wakes one") {
  std::set<int> first;
  const Result result = explore([&] {
    Atomic<std::uint32_t> word{0};
    Atomic<int> winner{0};
    const auto sleep = [&](int id) {
      futex_wait(word, 0);
      int nobody = 0;
      (void)winner.compare_exchange_strong(nobody, id);
    };
    {
      Thread one([&] { sleep(1); });
      Thread two([&] { sleep(2); });
      Thread waker([&] {
        while (futex_wake(word, 1) == 0) yield();
        while (futex_wake(word, 1) == 0) yield();
      });
    }
    first.insert(winner.load());
  }, {.preemptions = 2});
  CHECK(result.ok);
  CHECK(first == std::set<int>{1, 2});
}

TEST_CASE("Checker: signals of an event add up and order data") {
  CHECK(explore([] {
    Event event;
    Cell<int> data{0};
    Thread signaller([&] {
      data = 1;
      event.signal();
    });
    event.wait();
    check(data == 1, "stale");
  }).ok);
  CHECK(contains(explore([] { Event().wait(); }).why, "deadlock"));
}

TEST_CASE("Checker: a spin with yield() ends, one without is reported as endless") {
  const auto program = [](bool yields) {
    Atomic<int> flag{0};
    Thread setter([&] { flag.store(1, Order::relaxed); });
    Thread bystander([&] { for (int i = 0; i < 2; ++i) yield(); });
    while (flag.load(Order::relaxed) == 0) {
      if (yields) yield();
    }
  };
  CHECK(explore([&] { program(true); }).ok);
  CHECK(contains(explore([&] { program(false); }, {.max_path = 500}).why, "spin without yield"));
}

TEST_CASE("Checker: two spinning threads do not starve the one they wait for") {
  const Result result = explore([] {
    Atomic<int> flag{0};
    const auto spin = [&] { while (flag.load(Order::relaxed) == 0) yield(); };
    Thread one(spin), two(spin);
    Thread setter([&] { flag.store(1, Order::relaxed); });
  }, {.preemptions = 1});
  CHECK(result.ok);
  CHECK(result.exhausted);
}

TEST_CASE("Checker: weak compare-exchange fails spuriously, and any failed one may be stale") {
  const auto weak = [] {
    Atomic<int> x{0};
    int expected = 0;
    check(x.compare_exchange_weak(expected, 1), "failed");
  };
  CHECK(explore(weak).ok);
  CHECK_FALSE(explore(weak, {.spurious = true}).ok);
  std::set<int> read;
  const auto stale = [&] {
    Atomic<int> x{0};
    Atomic<int> done{0};
    Thread writer([&] {
      x.store(1, Order::relaxed);
      x.store(2, Order::relaxed);
      done.store(1, Order::relaxed);
    });
    if (done.load(Order::relaxed) == 0) return;
    int expected = 7;
    check(!x.compare_exchange_strong(expected, 3, Order::relaxed), "never 7");
    read.insert(expected);
  };
  CHECK(explore(stale).ok);
  CHECK(read == std::set<int>{2});
  CHECK(explore(stale, {.stale_failures = true}).ok);
  CHECK(read == std::set<int>{0, 1, 2});
}

TEST_CASE("Checker: an object destroyed under another thread's feet is found") {
  const auto program = [](bool joined) {
    std::optional<Atomic<int>> x{std::in_place, 0};
    std::optional<Cell<int>> y{std::in_place, 0};
    Atomic<int> done{0};
    Thread user([&] {
      x->store(1, Order::relaxed);
      done.store(1, joined ? Order::release : Order::relaxed);
    });
    while (done.load(Order::acquire) == 0) yield();
    x.reset();
    y.reset();
  };
  CHECK(explore([&] { program(true); }).ok);
  CHECK(contains(explore([&] { program(false); }).why, "destroyed"));
}

TEST_CASE("Checker: misuse is told, not obeyed") {
  static Atomic<int> outside{0};
  CHECK(contains(explore([] { outside.store(1); }).why, "outside this run"));
  CHECK(contains(explore([] { throw 1; }).why, "exception"));
  int runs = 0;
  const Result drifts = explore([&] {
    Atomic<int> x{0};
    Thread one([&] { x.store(1); });
    std::optional<Thread> now_and_then;
    if (++runs % 2 == 1) now_and_then.emplace([&] { x.store(3); });
    x.store(2);
  });
  CHECK(contains(drifts.why, "does not follow its path"));
  const Result crowd = explore([] {
    const auto nothing = [] {};
    Thread a(nothing), b(nothing), c(nothing), d(nothing), e(nothing), f(nothing), g(nothing);
    Thread one_too_many(nothing);
  });
  CHECK(contains(crowd.why, "kMaxThreads"));
}

namespace {

// A random program: three threads with a few operations each on two locations. Its outcome is the
// result of all loads.
struct Program {
  struct Op {
    int kind, location, order;
  };
  std::vector<std::vector<Op>> threads;

  explicit Program(unsigned seed) : threads(3) {
    std::mt19937 random(seed);
    for (std::size_t t = 0; t < threads.size(); ++t) {
      const int count = t == 2 ? 2 : 3;
      for (int i = 0; i < count; ++i) {
        const auto pick = [&](unsigned n) { return static_cast<int>(random() % n); };
        threads[t].push_back({pick(8), pick(2), pick(3)});
      }
    }
  }

  void run(std::set<std::string>& outcomes) const {
    Atomic<int> x[2];
    Mutex mutex;
    std::vector<std::string> seen(threads.size());
    {
      std::vector<std::unique_ptr<Thread>> running;
      for (std::size_t t = 0; t < threads.size(); ++t) {
        running.push_back(std::make_unique<Thread>([&, t] {
          int value = static_cast<int>(t) * 10;
          for (const Op& op : threads[t]) step(op, x, mutex, ++value, seen[t]);
        }));
      }
    }
    std::string all;
    for (const std::string& part : seen) all += part + "/";
    outcomes.insert(all + std::to_string(x[0].load()) + "," + std::to_string(x[1].load()));
  }

  static void step(const Op& op, Atomic<int>* x, Mutex& mutex, int value, std::string& seen) {
    constexpr Order kLoads[] = {Order::relaxed, Order::acquire, Order::seq_cst};
    constexpr Order kStores[] = {Order::relaxed, Order::release, Order::seq_cst};
    const auto order = static_cast<std::size_t>(op.order);
    Atomic<int>& word = x[op.location];
    const auto note = [&](int read) { seen += std::to_string(read) + " "; };
    switch (op.kind) {
      case 0:
      case 1: return note(word.load(kLoads[order]));
      case 2:
      case 3: return word.store(value, kStores[order]);
      case 4: return note(word.exchange(value, kStores[order]));
      case 5: return fence(Order::seq_cst);
      case 6: {
        int expected = 0;
        word.compare_exchange_strong(expected, value, kStores[order], Order::relaxed);
        return note(expected);
      }
      default:
        mutex.lock();
        note(word.load(Order::relaxed));
        word.store(value, Order::relaxed);
        mutex.unlock();
    }
  }
};

struct Outcomes {
  std::set<std::string> set;
  long execs = 0;
};

Outcomes outcomes_of(const Program& program, const Options& options) {
  Outcomes outcomes;
  const Result result = explore([&] { program.run(outcomes.set); }, options);
  REQUIRE(result.ok);
  REQUIRE(result.exhausted);
  outcomes.execs = result.execs;
  return outcomes;
}

}  // namespace

TEST_CASE("Checker: DPOR shows every outcome that the plain search shows, in far fewer runs") {
  long with = 0;
  long without = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Program program(seed);
    for (const int bound : {1, 2}) {
      const Outcomes plain = outcomes_of(program, {.preemptions = bound, .dpor = false});
      const Outcomes pruned = outcomes_of(program, {.preemptions = bound});
      INFO("seed " << seed << ", bound " << bound);
      CHECK(plain.set == pruned.set);
      with += pruned.execs;
      without += plain.execs;
    }
  }
  CHECK(with * 2 < without);
}

TEST_CASE("Checker: without a bound DPOR shows what the plain search shows") {
  for (unsigned seed = 1000; seed < 1012; ++seed) {
    Program program(seed);
    for (auto& ops : program.threads) ops.resize(2);
    const Outcomes plain = outcomes_of(program, {.preemptions = -1, .dpor = false});
    const Outcomes pruned = outcomes_of(program, {.preemptions = -1});
    INFO("seed " << seed);
    CHECK(plain.set == pruned.set);
  }
}
