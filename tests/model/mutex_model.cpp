// Goal: one owner at a time, what he did is seen by the next one, no unlock is lost, whatever a
// cancel does, and the next owner may destroy the mutex although the last one is still in unlock().
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
  }, {{105, "the line is published with a relaxed store"},
      {131, "who is woken and finds it held leaves WOKEN on"},
      {135, "the mutex is taken from the line with a relaxed exchange"},
      {136, "it is unlocked from the line with a relaxed exchange"},
      {137, "an unlock does not look at the line"},
      {139, "who goes into line does not say so"}}, {.preemptions = 2, .spurious = true});
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
      while (waiter.block().word.epoch() == first_wait) model::yield();  // it finds it held
    }
    is_over = !is_served;
    mutex->unlock();
  }, {{138, "unlock looks at the word after it let go"},
      {134, "who is handed the mutex may run before the line's lock is left"},
      {101, "a waiter that was not woken does not pass the lock"},
      {12, "who was not parked believes that its waker has left the lock"}},
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
  }, {{104, "a waiter whose cancel was faster counts as served"},
      {132, "an unlock gives up when the first in line was cancelled"}}, {.preemptions = 2});
}

TEST_CASE("Mutex model: who was overtaken is handed the mutex by the next unlock") {
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
  }, {{133, "who is woken and finds it held does not ask to be handed it"}},
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
  }, {{141, "a waiter says that it waits after it has unlocked"},
      {142, "notify_one() says that nobody waits, though the second one does"}},
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
  }, {{104, "a waiter whose cancel was faster counts as served"},
      {142, "notify_one() says that nobody waits, though the second one does"}},
     {.preemptions = 2});
}

TEST_CASE("Condvar model: who is notified may destroy it together with the mutex") {
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
  }, {{143, "notify_one() does not tell whom a hidden cancel has ended"}},
     {.preemptions = 2, .spurious = true});
}
