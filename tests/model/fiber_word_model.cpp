// Goal: the fiber word's laws F1, F2, F3 and F7. A late wake-up for an earlier wait, or for an
// earlier fiber in the same control block, does nothing.
// Method: the shipped FiberWord, workers that run whatever is queued, and wakers that race. Wakers
// and cancellers know of the spawn (they hold a reference, or the waiter was linked).
//
//     make_runnable() --> work --> worker: one phase of the fiber, commit --> (queued again)
//
// `frame` stands for the fiber's stack and fields. Every run writes it, and so does a waker that
// won a parked fiber. It is a data race on it if two workers run the fiber at once, or if one
// starts before the last one has left. The queue detects a fiber that is queued twice. A lost
// wake-up leaves the workers waiting for ever.
#include "sched/fiber_word.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <functional>

using namespace ramie::model;
using ramie::sched::FiberWord;

namespace {

using Claim = FiberWord::Claim;
constexpr auto kYes = FiberWord::Shield::yes;
constexpr auto kNo = FiberWord::Shield::no;

enum class Leave { waiting, yielding, ended };

// One control block, its queue, and the workers.
struct Stage {
  FiberWord word;
  Cell<int> frame{0};
  Atomic<int> queued{0};
  Event work;
  Atomic<bool> is_over{false};

  void make_runnable() {
    check(queued.fetch_add(1, Order::relaxed) == 0, "queued twice");
    work.signal();
  }

  void wake(std::uint32_t epoch, std::uint8_t by, Atomic<int>* wins = nullptr) {
    const Claim claim = word.claim(epoch, by);
    if (claim != Claim::lost && wins != nullptr) wins->fetch_add(1, Order::relaxed);
    if (claim != Claim::won_and_queue) return;
    frame = frame + 100;  // it belongs to us until it is queued
    make_runnable();
  }

  void cancel(std::uint64_t bits) {
    if (word.request(bits)) make_runnable();
  }

  void spawn() {
    word.reset();
    make_runnable();
  }

  void end() {
    is_over.store(true, Order::release);
    work.signal();
  }

  // A worker: runs the phases of the fiber until `phase` returns that the block is finished.
  void run(const std::function<Leave()>& phase) {
    for (;;) {
      work.wait();
      if (is_over.load(Order::acquire)) return work.signal();  // tell the other worker
      queued.fetch_sub(1, Order::relaxed);
      frame = frame + 1;
      const Leave leave = phase();
      if (leave == Leave::ended) {
        word.finish();
        return end();
      }
      if (leave == Leave::yielding) {
        make_runnable();
      } else if (word.commit() == FiberWord::Commit::queue) {
        make_runnable();
      }
    }
  }
};

}  // namespace

TEST_CASE("FiberWord model: one of two racing wakers ends a wait, and the fiber runs on once") {
  check_model("fiber word: claims", [] {
    Stage stage;
    Atomic<std::uint32_t> open{0};
    Atomic<int> wins{0};
    Event linked;
    Cell<int> phase{0};
    const auto body = [&] {
      phase = phase + 1;
      if (phase == 1) {
        const auto wait = stage.word.arm(kNo);
        check(wait.armed, "nobody cancels");
        open.store(wait.epoch, Order::release);
        linked.signal();
        stage.frame = stage.frame + 10;  // still on its stack
        return Leave::waiting;
      }
      const int by = stage.word.claimed_by();
      check(by == 1 || by == 2, "woken by nobody");
      check(!stage.word.is_armed(), "woken and still armed");
      check(stage.word.state() != FiberWord::kParked, "runs and is PARKED");
      return Leave::ended;
    };
    stage.spawn();
    Thread one([&] { stage.run(body); });
    Thread two([&] { stage.run(body); });
    Thread waker([&] {
      linked.wait();
      stage.wake(open.load(Order::acquire), 1, &wins);
    });
    if (const auto epoch = open.load(Order::acquire)) stage.wake(epoch, 2, &wins);
    one.join();
    two.join();
    waker.join();
    check(wins.load() == 1, "two winners");
  }, Mutants{1, 5, 6, 7, 8}, {.preemptions = 2});
}

TEST_CASE("FiberWord model: a claim of an earlier fiber in the block spares the next one") {
  check_model("fiber word: reuse of the block", [] {
    Stage stage;
    Atomic<std::uint32_t> first{0}, second{0};
    Event first_linked, second_linked;
    Cell<int> phase{0};
    const auto wait_for = [&](Atomic<std::uint32_t>& open, Event& linked) {
      const auto wait = stage.word.arm(kNo);
      open.store(wait.epoch, Order::release);
      linked.signal();
      return Leave::waiting;
    };
    const auto body = [&] {
      phase = phase + 1;
      if (phase == 1) return wait_for(first, first_linked);
      if (phase == 2) return Leave::ended;
      if (phase == 3) return wait_for(second, second_linked);
      check(stage.word.claimed_by() == 3, "the next fiber was woken by a stale claim");
      return Leave::ended;
    };
    Thread late([&] {
      if (const auto epoch = first.load(Order::acquire)) stage.wake(epoch, 2);
    });
    Thread waker([&] {
      first_linked.wait();
      stage.wake(first.load(Order::acquire), 1);
      second_linked.wait();
      stage.wake(second.load(Order::acquire), 3);
    });
    stage.spawn();
    stage.run(body);
    stage.is_over.store(false, Order::relaxed);
    stage.work.wait();  // the signal of the fiber's end
    const auto before = stage.word.epoch();
    stage.spawn();
    check(stage.word.epoch() != before, "the next fiber has its predecessor's epoch");
    stage.run(body);
  }, Mutants{2, 4},
     {.preemptions = 3});
}

TEST_CASE("FiberWord model: a cancel before, during or after arming is never lost") {
  check_model("fiber word: cancel", [] {
    Stage stage;
    Cell<int> waits{0};
    const auto body = [&] {
      if (waits == 1) check(stage.word.claimed_by() == FiberWord::kByCancel, "woken by nobody");
      const auto wait = stage.word.arm(kNo);
      if (!wait.armed) return Leave::ended;
      waits = waits + 1;
      check(waits == 1, "a second wait was armed after the cancel");
      return Leave::waiting;
    };
    stage.spawn();
    Thread one([&] { stage.run(body); });
    Thread canceller([&] { stage.cancel(FiberWord::kCancel); });
    Thread closer([&] { stage.cancel(FiberWord::kShutdown); });
    one.join();
    canceller.join();
    closer.join();
  }, Mutants{1, 3, 5, 9}, {.preemptions = 3});
}

TEST_CASE("FiberWord model: a shielded wait is ended by its waker only, and the cancel stays") {
  check_model("fiber word: shield", [] {
    Stage stage;
    Atomic<std::uint32_t> open{0};
    Event linked;
    Cell<int> phase{0};
    const auto body = [&] {
      phase = phase + 1;
      if (phase == 1) {
        open.store(stage.word.arm(kYes).epoch, Order::release);
        linked.signal();
        return Leave::waiting;
      }
      if (phase == 2) {
        check(stage.word.claimed_by() == 1, "a shielded wait was cancelled");
        return Leave::yielding;
      }
      return stage.word.arm(kNo).armed ? Leave::waiting : Leave::ended;
    };
    stage.spawn();
    Thread one([&] { stage.run(body); });
    Thread waker([&] {
      linked.wait();
      stage.wake(open.load(Order::acquire), 1);
    });
    Thread canceller([&] { stage.cancel(FiberWord::kCancel); });
    one.join();
    waker.join();
    canceller.join();
  }, Mutants{7, 9, 10}, {.preemptions = 3});
}

TEST_CASE("FiberWord model: a wait closed without parking counts a claim that came first") {
  check_model("fiber word: disarm", [] {
    Stage stage;
    Atomic<std::uint32_t> open{0};
    Atomic<int> wins{0};
    Event linked;
    Cell<int> phase{0};
    Cell<int> woken{0};
    const auto body = [&] {
      phase = phase + 1;
      if (phase == 2) return Leave::ended;
      const auto wait = stage.word.arm(kNo);
      open.store(wait.epoch, Order::release);
      if (!stage.word.disarm()) {
        check(stage.word.claimed_by() == 1, "claimed by nobody");
        woken = woken + 1;
      }
      return Leave::yielding;
    };
    stage.spawn();
    Thread one([&] { stage.run(body); });
    Thread waker([&] {
      if (const auto epoch = open.load(Order::acquire)) stage.wake(epoch, 1, &wins);
    });
    one.join();
    waker.join();
    check(wins.load() == woken, "a wake-up was won and not noticed");
  }, Mutants{7, 11},
     {.preemptions = -1});
}

// Goal: a fiber that was woken while parked may destroy what it waited for without taking its lock.
// Method: `object` stands for the list and what is beside it. The waker uses it under the lock
// until the unlock; the fiber writes it at its end.
TEST_CASE("FiberWord model: a waiter that was woken while parked need not pass the lock again") {
  check_model("fiber word: the last lock", [] {
    Stage stage;
    Mutex lock;
    Cell<int> object{0};
    Cell<std::uint32_t> epoch{0};
    Event linked;
    Cell<int> phase{0};
    const auto body = [&] {
      phase = phase + 1;
      if (phase == 1) {
        lock.lock();
        epoch = stage.word.arm(kNo).epoch;
        lock.unlock();
        linked.signal();
        return Leave::waiting;
      }
      check(stage.word.claimed_by() == 1, "woken by nobody");
      if (!stage.word.was_woken()) {
        lock.lock();
        lock.unlock();
      }
      object = -1;
      return Leave::ended;
    };
    Thread waker([&] {
      linked.wait();
      lock.lock();
      const Claim claim = stage.word.claim(epoch, 1);
      object = object + 1;
      lock.unlock();
      if (claim == Claim::won_and_queue) stage.make_runnable();
    });
    stage.spawn();
    Thread worker([&] { stage.run(body); });
    worker.join();
    waker.join();
  }, Mutants{12}, {.preemptions = 3});
}
