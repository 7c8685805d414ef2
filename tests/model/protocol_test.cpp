// Goal: the checker finds bugs that real runtimes had, and passes the protocols without them.
// Method: small models of well-known protocols, each with its historical bugs as mutants. (The
// models of our own headers are in the *_model.cpp files.)
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace ramie::model;

namespace {

constexpr auto kRelaxed = Order::relaxed;
constexpr auto kAcquire = Order::acquire;
constexpr auto kRelease = Order::release;
constexpr auto kAcqRel = Order::acq_rel;

}  // namespace

TEST_CASE("Protocol idle: announce and look again, against publish and look for sleepers") {
  check_model("idle against publish", [] {
    Atomic<int> queue{0}, asleep{0};
    Event wake;
    Thread producer([&] {
      queue.store(1, kRelease);
      if (!is_mutant(81) && !is_mutant(82)) fence(Order::seq_cst);
      if (asleep.load(kRelaxed) != 0) wake.signal();
    });
    while (queue.load(kAcquire) == 0) {
      asleep.store(1, kRelaxed);
      if (!is_mutant(81)) fence(Order::seq_cst);
      if (is_mutant(83) || queue.load(kAcquire) == 0) wake.wait();
      asleep.store(0, kRelaxed);
    }
  }, Mutants{{81, "no fences"}, {82, "only the sleeper has a fence"}, {83, "no second look"}},
     {.preemptions = -1});
}

namespace {

// A thread's parker: an unpark before the park is remembered.
class Parker {
 public:
  void park() {
    int expected = kNotified;
    if (state_.compare_exchange_strong(expected, kEmpty)) return;
    mutex_.lock();
    expected = kEmpty;
    const bool parked = state_.compare_exchange_strong(expected, kParked);
    if (!parked) state_.exchange(kEmpty);
    mutex_.unlock();
    while (parked) {
      condition_.wait();
      expected = kNotified;
      if (state_.compare_exchange_strong(expected, kEmpty)) return;
    }
  }

  void unpark() {
    if (is_mutant(84)) {
      if (state_.load(kAcquire) != kParked) return;
      state_.store(kNotified);
      return condition_.signal();
    }
    if (state_.exchange(kNotified) != kParked) return;
    mutex_.lock();
    mutex_.unlock();
    condition_.signal();
  }

 private:
  enum : int { kEmpty, kParked, kNotified };
  Atomic<int> state_{kEmpty};
  Mutex mutex_;
  Event condition_;
};

}  // namespace

TEST_CASE("Protocol parker: an early unpark is never lost") {
  check_model("parker", [] {
    Parker parker;
    Atomic<int> work{0};
    Thread worker([&] {
      for (int i = 0; i < 2; ++i) {
        while (work.load(kAcquire) <= i) parker.park();
      }
    });
    for (int i = 0; i < 2; ++i) {
      work.fetch_add(1, kRelease);
      parker.unpark();
    }
  }, Mutants{{84, "unpark by load and store"}});
}

TEST_CASE("Protocol stop: the second look before sleep sees the stop flag too") {
  check_model("stop against park", [] {
    Atomic<int> asleep{0}, stopping{0};
    Event wake;
    Thread stopper([&] {
      stopping.store(1, kRelease);
      fence(Order::seq_cst);
      if (asleep.load(kRelaxed) != 0) wake.signal();
    });
    while (stopping.load(kAcquire) == 0) {
      asleep.store(1, kRelaxed);
      fence(Order::seq_cst);
      if (is_mutant(85) || stopping.load(kRelaxed) == 0) wake.wait();
      asleep.store(0, kRelaxed);
    }
  }, Mutants{{85, "only the queues are looked at again"}}, {.preemptions = -1});
}

TEST_CASE("Protocol park: a fiber is not resumed before its context is saved, and only once") {
  check_model("fiber hand-over", [] {
    enum : int { kRunning, kParking, kParked, kNotified };
    Atomic<int> state{kRunning}, registered{0}, queued{0};
    Cell<int> saved{0};
    Thread worker([&] {
      state.store(kParking, kRelease);
      registered.store(1, kRelease);
      saved = 1;
      int expected = kParking;
      if (!state.compare_exchange_strong(expected, kParked, kAcqRel, kAcquire)) {
        queued.fetch_add(1, kRelease);
      }
    });
    Thread waker([&] {
      if (registered.load(kAcquire) == 0) return;
      if (is_mutant(86)) {
        queued.fetch_add(1, kRelease);
      } else if (state.exchange(kNotified, kAcqRel) == kParked) {
        queued.fetch_add(1, kRelease);
      }
    });
    Thread other([&] {
      if (queued.load(kAcquire) > 0) check(saved == 1, "resumed before it was saved");
    });
    worker.join();
    waker.join();
    check(queued.load() <= 1, "queued twice");
  }, Mutants{{86, "the waker queues whatever the state is"}}, {.preemptions = -1});
}

TEST_CASE("Protocol operation: the kernel owns the buffer until its completion") {
  check_model("operation against cancel", [] {
    enum : int { kSubmitted, kCompleted, kCancelled };
    Atomic<int> state{kSubmitted}, opened{0}, closed{0};
    Cell<int> result{0}, buffer{1};
    Thread kernel([&] {
      buffer = 2;
      opened.fetch_add(1);
      result = 7;
      if (state.exchange(kCompleted, kAcqRel) == kCancelled) {
        closed.fetch_add(1);
        buffer = 0;
      }
    });
    const int old = state.exchange(kCancelled, kAcqRel);
    if (is_mutant(88)) buffer = 0;
    if (old == kCompleted && !is_mutant(87)) {
      check(result == 7, "wrong descriptor");
      closed.fetch_add(1);
      buffer = 0;
    }
    kernel.join();
    check(opened.load() == closed.load(), "descriptor leak");
  }, Mutants{{87, "completed and cancelled: the descriptor is forgotten"},
             {88, "the buffer is freed when cancel is asked"}}, {.preemptions = -1});
}

TEST_CASE("Protocol join: either the task or the handle frees the result, never both or none") {
  check_model("join handle drop against completion", [] {
    enum : int { kComplete = 1, kDetached = 2 };
    Atomic<int> state{0}, freed{0};
    Cell<int> output{0};
    const auto end = [&](int mine, int other) {
      int old = 0;
      if (is_mutant(89)) {
        old = state.load(kAcquire);
        state.store(old | mine, kRelease);
      } else {
        old = state.fetch_or(mine, is_mutant(90) ? kRelaxed : kAcqRel);
      }
      if ((old & other) == 0) return;
      output = 0;
      freed.fetch_add(1);
    };
    Thread task([&] {
      output = 5;
      end(kComplete, kDetached);
    });
    Thread handle([&] { end(kDetached, kComplete); });
    task.join();
    handle.join();
    check(freed.load() == 1, "not freed once");
  }, Mutants{{89, "load and store"}, {90, "relaxed"}}, {.preemptions = -1});
}

TEST_CASE("Protocol oneshot: the value is there when the waiter sees the bit") {
  check_model("oneshot", [] {
    enum : int { kWaiting = 1, kSet = 2 };
    Atomic<int> state{0};
    Cell<int> value{0};
    Event wake;
    Thread sender([&] {
      value = 7;
      const int old = state.fetch_or(kSet, is_mutant(91) ? kRelaxed : kAcqRel);
      if ((old & kWaiting) != 0) wake.signal();
    });
    if ((state.fetch_or(kWaiting, kAcqRel) & kSet) == 0) wake.wait();
    check(value == 7, "wrong value");
  }, Mutants{{91, "relaxed publish"}}, {.preemptions = -1});
}

TEST_CASE("Protocol notify: a permit stored meanwhile is seen under the lock") {
  check_model("notify", [] {
    Atomic<int> permit{0};
    Mutex mutex;
    Cell<bool> waiting{false};
    Event wake;
    Thread notifier([&] {
      mutex.lock();
      const bool wakes = waiting;
      if (!wakes) permit.store(1, kRelease);
      mutex.unlock();
      if (wakes) wake.signal();
    });
    const auto take = [&] {
      int one = 1;
      return permit.compare_exchange_strong(one, 0, kAcqRel, kRelaxed);
    };
    if (take()) return;
    mutex.lock();
    const bool got = !is_mutant(92) && take();
    if (!got) waiting = true;
    mutex.unlock();
    if (!got) wake.wait();
  }, Mutants{{92, "no second look under the lock"}}, {.preemptions = -1});
}

namespace {

// One direction of a registration: readiness bit and tick in a word, one waiter.
class Readiness {
 public:
  void publish() {
    unsigned old = word_.load(kAcquire);
    while (!word_.compare_exchange_strong(old, ((old >> 1U) + 1) % ticks() << 1U | 1U, kAcqRel,
                                          kAcquire)) {
    }
    mutex_.lock();
    const bool wakes = waiting_;
    waiting_ = false;
    mutex_.unlock();
    if (wakes) wake_.signal();
  }

  unsigned wait() {
    for (;;) {
      unsigned seen = word_.load(kAcquire);
      if ((seen & 1U) != 0) return seen;
      mutex_.lock();
      if (!is_mutant(95)) seen = word_.load(kAcquire);
      if ((seen & 1U) == 0) waiting_ = true;
      mutex_.unlock();
      if ((seen & 1U) != 0) return seen;
      wake_.wait();
    }
  }

  void clear(unsigned seen) {
    unsigned old = word_.load(kAcquire);
    do {
      if (!is_mutant(93) && old >> 1U != seen >> 1U) return;
    } while (!word_.compare_exchange_strong(old, old & ~1U, kAcqRel, kAcquire));
  }

 private:
  static unsigned ticks() { return is_mutant(94) ? 2 : 256; }

  Atomic<unsigned> word_{0};
  Mutex mutex_;
  Cell<bool> waiting_{false};
  Event wake_;
};

}  // namespace

TEST_CASE("Protocol readiness: an edge that comes between EAGAIN and the clear survives") {
  check_model("readiness with ticks, 3 events", [] {
    constexpr int kEvents = 3;
    Readiness readiness;
    Atomic<int> data{0};
    Thread driver([&] {
      for (int i = 0; i < kEvents; ++i) {
        data.fetch_add(1);
        readiness.publish();
      }
    });
    for (int got = 0; got < kEvents;) {
      const unsigned seen = readiness.wait();
      if (data.load() > 0) {
        data.fetch_sub(1);
        ++got;
      } else {
        readiness.clear(seen);
      }
    }
  }, Mutants{{93, "the clear ignores the tick"},
             {94, "the tick wraps at 2"},
             {95, "readiness is not read again under the lock"}});
}
