// Laws of sync::Condvar.
#include "tests/sync/support.hpp"

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
using ramie::sync::Condvar;
using ramie::sync::Mutex;

namespace {

// Two parties alternate. Each wait needs a notification by the other party.
struct Turns {
  Mutex mutex;
  Condvar changed;
  int turn = 0;

  void play(int me, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      std::unique_lock lock(mutex);
      (void)changed.wait(lock, [&] { return turn % 2 == me; });
      ++turn;
      lock.unlock();
      changed.notify_one();
    }
  }
};

}  // namespace

TEST_CASE("Condvar: no wake is lost between fibers, between threads, or across", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int threads = 0; threads <= 2; ++threads) {
      Turns turns;
      Crowd crowd;
      crowd.add_fibers(2 - threads, [&](int i) { turns.play(i, 400); });
      crowd.add_threads(threads, [&](int i) { turns.play(1 - i, 400); });
      crowd.join();
      REQUIRE(turns.turn == 800);
    }
  });
}

TEST_CASE("Condvar: notify_one wakes in the order of arrival", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    Condvar changed;
    Log log;
    Crowd crowd;
    for (int i = 0; i < 20; ++i) {
      crowd.add_fibers(1, [&, i](int) {
        std::unique_lock lock(mutex);
        (void)changed.wait(lock);
        log.add(i);
      });
      REQUIRE(park_comes_true(runtime, WaitKind::condvar, static_cast<std::size_t>(i) + 1));
    }
    for (std::size_t i = 0; i < 20; ++i) {
      changed.notify_one();
      REQUIRE(comes_true([&] { return log.size() == i + 1; }));
    }
    REQUIRE(log.entries() == numbers(0, 20));
  });
}

TEST_CASE("Condvar: notify_all wakes every waiter, whatever their number", "[sync]") {
  // A thread that has counted itself under the mutex is queued as soon as the mutex is free.
  with_workers([](MiniRuntime&) {
    for (const int threads : {1, 31, 32, 33, 64, 65}) {
      Mutex mutex;
      Condvar changed;
      int waiting = 0;
      int woken = 0;
      Crowd crowd;
      const auto body = [&](int) {
        std::unique_lock lock(mutex);
        ++waiting;
        (void)changed.wait(lock);
        ++woken;
      };
      crowd.add_threads(threads, body);
      crowd.add_fibers(10, body);
      REQUIRE(comes_true([&] {
        const std::lock_guard lock(mutex);
        return waiting == threads + 10;
      }));
      changed.notify_all();
      crowd.join();
      REQUIRE(woken == threads + 10);
    }
  });
}

TEST_CASE("Condvar: a cancelled wait holds the lock again and uses no notification", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    Condvar changed;
    bool held_lock = false;
    std::atomic<bool> is_woken{false};
    auto canceled = ramie::spawn([&] {
      std::unique_lock lock(mutex);
      auto waited = changed.wait(lock);
      held_lock = lock.owns_lock() && !mutex.try_lock();
      return waited;
    });
    REQUIRE(park_comes_true(runtime, WaitKind::condvar, 1));
    auto other = ramie::spawn([&] {
      std::unique_lock lock(mutex);
      auto waited = changed.wait(lock);
      is_woken = true;
      return waited;
    });
    REQUIRE(park_comes_true(runtime, WaitKind::condvar, 2));
    mutex.lock();
    canceled.cancel();
    changed.notify_one();  // the first waiter is about to leave
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 2));
    mutex.unlock();
    REQUIRE(code_of(canceled.join()) == errc::canceled);
    REQUIRE(held_lock);
    REQUIRE(other.join());
    REQUIRE(is_woken);
  });
}

TEST_CASE("Condvar: a deadline ends the wait for a predicate", "[sync]") {
  with_workers([](MiniRuntime&) {
    Mutex mutex;
    Condvar changed;
    auto fiber = ramie::spawn([&] {
      std::unique_lock lock(mutex);
      return ramie::timeout(3ms, [&] { return changed.wait(lock, [] { return false; }); });
    });
    REQUIRE(code_of(fiber.join()) == errc::timed_out);
    REQUIRE(mutex.try_lock());
    mutex.unlock();
  });
}

TEST_CASE("Condvar: a notification while a hidden cancel ends the wait is not lost", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 100; ++round) {
      Mutex mutex;
      Condvar changed;
      auto fiber = ramie::spawn([&] {
        const ramie::Shield shield;
        std::unique_lock lock(mutex);
        return changed.wait(lock);
      });
      REQUIRE(park_comes_true(runtime, WaitKind::condvar, 1));
      std::thread canceller([&] { fiber.cancel(); });
      changed.notify_one();
      canceller.join();
      REQUIRE(fiber.join());
    }
  });
}

TEST_CASE("Condvar: a queue with cancelled consumers loses no item", "[sync]") {
  with_workers([](MiniRuntime&) {
    Mutex mutex;
    Condvar changed;
    int items = 0;
    int taken = 0;
    Crowd crowd;
    Crowd producers;
    crowd.add_fibers(12, [&](int id) {
      for (int i = 0; i < 40; ++i) {
        std::unique_lock lock(mutex);
        const auto patience = std::chrono::microseconds((id * 11 + i * 17) % 80);
        auto waited =
            ramie::timeout(patience, [&] { return changed.wait(lock, [&] { return items > 0; }); });
        if (!waited) continue;
        --items;
        ++taken;
      }
    });
    producers.add_threads(2, [&](int) {
      for (int i = 0; i < 200; ++i) {
        {
          const std::lock_guard lock(mutex);
          ++items;
        }
        changed.notify_one();
      }
    });
    producers.join();
    crowd.join();
    REQUIRE(items + taken == 400);
  });
}
