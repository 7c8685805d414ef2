// Goal: one owner at a time. The next owner sees what the last one did. No unlock is lost, whatever
// a cancel does. The next owner may destroy the mutex while the last one is still in unlock().
// Method: the shipped Mutex and Condvar with the shipped waiting protocol.
#include "tests/model/stage.hpp"

#include <ramie/sync/condvar.hpp>
#include <ramie/sync/mutex.hpp>

#include <catch2/catch.hpp>

#include <mutex>
#include <optional>

namespace model = ramie::model;
using model::Cell;
using model::check;
using model::check_model;
using model::FiberThread;
using model::Mutants;
using model::PlainThread;
using model::Thread;
using ramie::sync::Condvar;
using ramie::sync::Mutex;

TEST_CASE("Mutex model: one owner at a time, and the next one sees what he did") {
  check_model("mutex: exclusion", [] {
    Mutex mutex;
    Cell<int> inside{0};
    const auto enter = [&] {
      mutex.lock();
      inside = inside + 1;
      mutex.unlock();
    };
    FiberThread one(enter), two(enter);
    {
      const PlainThread me;
      enter();
    }
    one.join();
    two.join();
    check(inside == 3, "somebody did not come in");
  }, Mutants{105, 131, 135, 136, 144, 137, 139}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Mutex model: the next owner may destroy it, however it got the mutex") {
  check_model("mutex: the last touch", [] {
    std::optional<Mutex> mutex(std::in_place);
    bool is_served = false, is_over = false;  // under the mutex
    check(mutex->try_lock(), "nobody holds it");
    FiberThread waiter([&] {
      mutex->lock();
      is_served = true;
      mutex->unlock();
      if (is_over) mutex.reset();
    });
    waiter.until_waits();
    const auto first_wait = waiter.block().word.epoch();
    mutex->unlock();
    if (!mutex->try_lock()) return;
    if (!is_served && model::choose(2) == 1) {
      while (waiter.block().word.epoch() == first_wait) model::yield();  // it finds the mutex held
    }
    is_over = !is_served;
    mutex->unlock();
  }, Mutants{138, 134, 101, 12},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Mutex model: an unlock that meets a cancel goes to the next in line") {
  check_model("mutex: cancel", [] {
    Mutex mutex;
    check(mutex.try_lock(), "nobody holds it");
    FiberThread hasty([&] {
      if (mutex.lock_cancelable()) mutex.unlock();
    });
    hasty.until_waits();
    FiberThread patient([&] {
      mutex.lock();
      mutex.unlock();
    });
    Thread canceller([&] { hasty.cancel(); });
    mutex.unlock();
    hasty.join();
    patient.join();
    check(mutex.try_lock(), "it stays locked");
  }, Mutants{104, 132}, {.preemptions = 2});
}

TEST_CASE("Mutex model: the next unlock hands the mutex to a waiter that was overtaken") {
  check_model("mutex: hand-over", [] {
    Mutex mutex;
    bool is_served = false;
    check(mutex.try_lock(), "nobody holds it");
    FiberThread waiter([&] {
      mutex.lock();
      is_served = true;
      mutex.unlock();
    });
    waiter.until_waits();
    const auto first_wait = waiter.block().word.epoch();
    mutex.unlock();
    if (!mutex.try_lock()) return;
    if (!is_served) {
      while (waiter.block().word.epoch() == first_wait) model::yield();  // it finds the mutex held
      mutex.unlock();
      if (!mutex.try_lock()) return;
      check(is_served, "it was overtaken twice");
    }
    mutex.unlock();
  }, Mutants{133},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Condvar model: a change that is announced after it was made is seen") {
  check_model("condvar: two waiters", [] {
    Mutex mutex;
    Condvar condvar;
    Cell<int> items{0};
    const auto take = [&] {
      std::unique_lock lock(mutex);
      check(condvar.wait(lock, [&] { return items > 0; }).has_value(), "nobody cancels that");
      items = items - 1;
    };
    FiberThread one(take), two(take);
    for (int i = 0; i < 2; ++i) {
      {
        const PlainThread me;
        const std::lock_guard lock(mutex);
        items = items + 1;
      }
      condvar.notify_one();
    }
  }, Mutants{141, 142},
     {.preemptions = 2});
}

TEST_CASE("Condvar model: a notification is not lost to a waiter whom a cancel has ended") {
  check_model("condvar: cancel", [] {
    Mutex mutex;
    Condvar condvar;
    Cell<bool> is_ready{false};
    FiberThread hasty([&] {
      std::unique_lock lock(mutex);
      const auto waited = condvar.wait(lock);
      check(lock.owns_lock(), "the lock is not held after a wait");
      if (waited) condvar.notify_one();
    });
    hasty.until_waits();
    FiberThread patient([&] {
      std::unique_lock lock(mutex);
      check(condvar.wait(lock, [&] { return bool(is_ready); }).has_value(), "nobody cancels that");
    });
    Thread canceller([&] { hasty.cancel(); });
    const PlainThread me;
    const std::lock_guard lock(mutex);
    is_ready = true;
    condvar.notify_one();
  }, Mutants{104, 142},
     {.preemptions = 2});
}

TEST_CASE("Condvar model: a notified waiter may destroy it together with the mutex") {
  check_model("condvar: the last touch", [] {
    std::optional<Mutex> mutex(std::in_place);
    std::optional<Condvar> condvar(std::in_place);
    Cell<bool> is_ready{false};
    FiberThread waiter([&] {
      {
        const ramie::Shield shield;
        std::unique_lock lock(*mutex);
        check(condvar->wait(lock, [&] { return bool(is_ready); }).has_value(), "it is shielded");
      }
      condvar.reset();
      mutex.reset();
    });
    Thread canceller([&] { waiter.cancel(); });
    const PlainThread me;
    const std::lock_guard lock(*mutex);
    is_ready = true;
    condvar->notify_one();
  }, Mutants{143},
     {.preemptions = 2, .spurious = true});
}
