// Goal: the injector's count sends no worker to sleep while there is an element, and the count
// matches the queue, also when the worker is told to stop while others push.
// Method: the shipped InjectCount around a queue that, like the real one, may claim to be empty
// when it is not; pushers, a worker that decides only by the count to sleep, and a closer.
//
//   pusher   queue, add(), fence, is the worker asleep? -> wake it
//   worker   take; nothing: announce, fence, has_work()? no -> sleep
//   closer   closing = true, wake the worker (WorkerSet::close)
#include "sched/inject_count.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;

namespace {

enum : int {
  kClosingUnseen = 63,
  kNoFence = 64,
  kTrustEmpty = 65,
  kNoSecondLook = 66,
  kCloserDoesNotWake = 67
};

struct Injector {
  ramie::sched::InjectCount count;
  Mutex mutex;
  Cell<int> queued{0};
  Cell<int> false_empties{1};  // times that the queue may still lie
  Atomic<bool> asleep{false};
  Atomic<bool> closing{false};
  Event wake;

  void push() {
    mutex.lock();
    queued = queued + 1;
    mutex.unlock();
    count.add(1);
    wake_worker();
  }

  void wake_worker() {
    if (!is_mutant(kNoFence)) fence(Order::seq_cst);
    if (asleep.load(Order::relaxed) && asleep.exchange(false, Order::acq_rel)) wake.signal();
  }

  bool dequeue() {
    mutex.lock();
    bool found = queued > 0;
    if (found && false_empties > 0 && choose(2) == 1) {
      false_empties = false_empties - 1;
      found = false;
    }
    if (found) queued = queued - 1;
    mutex.unlock();
    return found;
  }

  bool take() {
    if (!is_mutant(kTrustEmpty) && !count.has_work()) return false;
    if (!dequeue()) return false;
    count.subtract(1);
    return true;
  }

  void sleep() {
    asleep.store(true, Order::relaxed);
    fence(Order::seq_cst);
    const bool look = !is_mutant(kNoSecondLook);
    const bool stops = !is_mutant(kClosingUnseen) && closing.load(Order::seq_cst);
    const bool stay = look && (stops || (!is_mutant(kTrustEmpty) && count.has_work()));
    if (!stay) wake.wait();
    if (stay && !asleep.exchange(false, Order::acq_rel)) wake.wait();  // its signal is on the way
  }
};

}  // namespace

TEST_CASE("Injector model: a worker that sleeps by the count sleeps over no element") {
  check_model("injector: two pushers", [] {
    Injector injector;
    Thread worker([&] {
      for (int taken = 0; taken < 2;) {
        if (injector.take()) {
          ++taken;
        } else {
          injector.sleep();
        }
      }
    });
    Thread pusher([&] { injector.push(); });
    injector.push();
    pusher.join();
    worker.join();
    check(injector.count.size() == 0, "the count does not match the queue");
  }, Mutants{61, 62,
             {kNoFence, "the pusher does not fence before it looks for a sleeper"},
             {kTrustEmpty, "the worker believes a failed take"},
             {kNoSecondLook, "the worker does not look again after announcing"}},
     {.preemptions = 2});
}

TEST_CASE("Injector model: a worker that is told to stop while others push stops") {
  check_model("injector: close", [] {
    Injector injector;
    Cell<int> taken{0};
    Thread worker([&] {
      while (!injector.closing.load(Order::seq_cst)) {
        if (injector.take()) {
          taken = taken + 1;
        } else {
          injector.sleep();
        }
      }
    });
    Thread pusher([&] {
      for (int i = 0; i < 2; ++i) injector.push();
    });
    injector.closing.store(true, Order::seq_cst);
    if (!is_mutant(kCloserDoesNotWake)) injector.wake_worker();
    worker.join();
    pusher.join();
    check(taken + injector.queued == 2, "an element is lost");
    check(injector.count.size() == injector.queued, "the count does not match the queue");
  }, Mutants{61, 62,
             {kClosingUnseen, "the worker looks whether it should stop before it announces only"},
             {kCloserDoesNotWake, "the closer wakes nobody"}}, {.preemptions = 3});
}
