// Goal: who gets a notification or a permit may destroy the primitive at once, although whoever
// gave it has not returned yet; and a waiter whose wait was ended by a cancel that a Shield hides
// is served all the same.
// Method: Notify and Semaphore as sched/sync has them, step for step, with one waiter in line. (The
// shipped files park real fibers, so they are mirrored here, not compiled.)
//
// `object` stands for the primitive's memory: whoever is inside touches it up to its last step, and
// who is through writes it, as a destructor does. A late touch is a data race.
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <utility>

using namespace ramie::model;

namespace {

enum : int {
  kStoresUnderLock = 51,
  kForgetsPassedOver = 52,
  kServerClearsWaiters = 53,
  kPassedOverWaits = 54,
};

// One wait. Waker and canceller race for it, as for the fiber's word; the winner ends it.
struct Wait {
  enum By : int { kNobody, kWaker, kCanceller };

  Atomic<int> by{kNobody};
  Event ended;

  bool claim(By who) {
    int open = kNobody;
    return by.compare_exchange_strong(open, who, Order::acq_rel, Order::acquire);
  }
  void cancel() {
    if (claim(kCanceller)) ended.signal();
  }
};

// What both have: a line for one, under a lock that lies in the object.
struct Primitive {
  Cell<int> object{0};
  Mutex mutex;
  Cell<Wait*> first{nullptr};

  void lock() {
    mutex.lock();
    object = object + 1;
  }
  void unlock() {
    object = object + 1;  // the last touch
    mutex.unlock();
  }
  void destroy() { object = -1; }
};

struct Notify : Primitive {
  enum : std::uint32_t { kEmpty, kStored, kWaiting };
  Atomic<std::uint32_t> state{kEmpty};

  void notify_one() {
    std::uint32_t seen = state.load(Order::relaxed);
    for (;;) {
      while (seen != kWaiting) {
        if (state.compare_exchange_weak(seen, kStored, Order::acq_rel, Order::relaxed)) return;
      }
      lock();
      Wait* served = first;
      first = nullptr;
      if (served != nullptr && !served->claim(Wait::kWaker)) served = nullptr;
      const bool stores = served == nullptr && is_mutant(kStoresUnderLock);
      if (state.load(Order::relaxed) == kWaiting) {
        state.store(stores ? kStored : kEmpty, Order::release);
      }
      unlock();
      if (served != nullptr) served->ended.signal();
      if (served != nullptr || stores) return;
      if (is_mutant(kForgetsPassedOver)) return;
      seen = kEmpty;
    }
  }

  // False: it was cancelled.
  bool wait(Wait& mine) {
    std::uint32_t stored = kStored;
    if (state.compare_exchange_strong(stored, kEmpty, Order::acq_rel, Order::relaxed)) return true;
    lock();
    stored = kStored;
    if (state.compare_exchange_strong(stored, kEmpty, Order::acq_rel, Order::relaxed)) {
      unlock();
      return true;
    }
    // Only notify_one() may come between: it stores.
    std::uint32_t empty = kEmpty;
    if (!state.compare_exchange_strong(empty, kWaiting, Order::acq_rel, Order::relaxed)) {
      state.store(kEmpty, Order::relaxed);
      unlock();
      return true;
    }
    first = &mine;
    unlock();
    mine.ended.wait();
    if (mine.by.load(Order::acquire) == Wait::kWaker) return true;
    lock();
    if (first == &mine) first = nullptr;
    std::uint32_t waiting = kWaiting;
    if (first == nullptr)
      state.compare_exchange_strong(waiting, kEmpty, Order::acq_rel, Order::relaxed);
    unlock();
    return false;
  }
};

struct Semaphore : Primitive {
  static constexpr std::uint64_t kWaiters = 1, kOne = 2;
  Atomic<std::uint64_t> word{0};

  void release_one() {
    std::uint64_t seen = word.load(Order::relaxed);
    while ((seen & kWaiters) == 0) {
      if (word.compare_exchange_weak(seen, seen + kOne, Order::release, Order::relaxed)) return;
    }
    serve(kOne);
  }

  void serve(std::uint64_t more) {
    lock();
    std::uint64_t now = word.fetch_or(kWaiters, Order::acq_rel) | kWaiters;
    now += more;
    Wait* served = first;
    if (served != nullptr && now >= kOne && served->claim(Wait::kWaker)) {
      first = nullptr;
      now -= kOne;
    } else {
      served = nullptr;
    }
    if (is_mutant(kServerClearsWaiters) && first == nullptr) now &= ~kWaiters;
    word.store(now, Order::release);
    unlock();
    if (served != nullptr) served->ended.signal();
  }

  [[nodiscard]] bool take() {
    std::uint64_t seen = word.load(Order::acquire);
    while ((seen & kWaiters) == 0 && seen >= kOne) {
      if (word.compare_exchange_weak(seen, seen - kOne, Order::acquire, Order::acquire))
        return true;
    }
    return false;
  }

  // Under the lock, where WAITERS keeps everybody else out; without it permits may still come.
  [[nodiscard]] bool take_or_queue(bool clears) {
    std::uint64_t seen = word.load(Order::acquire);
    for (;;) {
      const bool may_take = seen >= kOne;
      std::uint64_t next = may_take ? seen - kOne : seen | kWaiters;
      if (may_take && clears) next &= ~kWaiters;
      if (word.compare_exchange_weak(seen, next, Order::acq_rel, Order::acquire)) return may_take;
    }
  }

  // A cancel ends the first wait and is hidden: it waits on, in its place.
  void acquire_shielded(Wait& mine, Wait& again) {
    if (take()) return;
    lock();
    const bool is_taken = take_or_queue(true);
    if (!is_taken) first = &mine;
    unlock();
    if (is_taken) return;
    mine.ended.wait();
    if (mine.by.load(Order::acquire) == Wait::kWaker) return;
    lock();
    const bool is_served = !is_mutant(kPassedOverWaits) && take_or_queue(false);
    first = is_served ? nullptr : &again;
    unlock();
    if (is_served) return serve(0);
    again.ended.wait();
  }

  // A fiber that retries after its first wait was cancelled for good.
  bool acquire(Wait& mine) {
    if (take()) return true;
    lock();
    const bool is_taken = take_or_queue(true);
    if (!is_taken) first = &mine;
    unlock();
    if (is_taken) return true;
    mine.ended.wait();
    if (mine.by.load(Order::acquire) == Wait::kWaker) return true;
    lock();
    if (first == &mine) first = nullptr;
    unlock();
    serve(0);
    return false;
  }
};

}  // namespace

TEST_CASE("Notify model: who is notified may destroy it, also after a cancelled wait") {
  check_model("notify: the last touch", [] {
    Notify notify;
    Wait hasty, patient;
    Thread notifier([&] { notify.notify_one(); });
    Thread canceller([&] { hasty.cancel(); });
    if (!notify.wait(hasty)) check(notify.wait(patient), "nobody cancels that");
    notify.destroy();
  }, {{kStoresUnderLock, "a notification is stored under the lock"},
      {kForgetsPassedOver, "a notification that only the cancelled could have had is dropped"}},
     {.preemptions = 3});
}

TEST_CASE("Semaphore model: who gets the permit may destroy it, also after a cancelled wait") {
  check_model("semaphore: the last touch", [] {
    Semaphore semaphore;
    Wait hasty, patient;
    Thread giver([&] { semaphore.release_one(); });
    Thread canceller([&] { hasty.cancel(); });
    if (!semaphore.acquire(hasty)) check(semaphore.acquire(patient), "nobody cancels that");
    semaphore.destroy();
  }, {{kServerClearsWaiters, "whoever serves an empty line turns WAITERS off"}},
     {.preemptions = 3});
}

TEST_CASE("Semaphore model: a waiter whose cancel is hidden gets what was released meanwhile") {
  check_model("semaphore: a hidden cancel", [] {
    Semaphore semaphore;
    Wait mine, again;
    Thread giver([&] { semaphore.release_one(); });
    Thread canceller([&] { mine.cancel(); });
    semaphore.acquire_shielded(mine, again);
    semaphore.destroy();
  }, {{kPassedOverWaits, "it goes back into line without looking"}}, {.preemptions = 3});
}
