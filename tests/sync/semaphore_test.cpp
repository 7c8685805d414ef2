// Laws of sync::Semaphore.
#include "tests/sync/support.hpp"

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
using ramie::sync::Semaphore;

TEST_CASE("Semaphore: never more owners than permits, and all come back", "[sync]") {
  with_workers([](MiniRuntime&) {
    Semaphore semaphore(3);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    Crowd crowd;
    const auto body = [&](int) {
      for (int i = 0; i < 200; ++i) {
        (void)semaphore.acquire();
        const int now = inside.fetch_add(1) + 1;
        for (int seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        if (i % 10 == 0) ramie::yield_now();
        inside.fetch_sub(1);
        semaphore.release();
      }
    };
    crowd.add_fibers(10, body);
    crowd.add_threads(3, body);
    crowd.join();
    REQUIRE(most.load() <= 3);
    REQUIRE(semaphore.available() == 3);
  });
}

TEST_CASE("Semaphore: nobody passes a big request that waits", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Semaphore semaphore(2);
    Log log;
    auto big = ramie::spawn([&] {
      (void)semaphore.acquire(5);
      log.add(5);
    });
    REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 1));
    auto small = ramie::spawn([&] {
      (void)semaphore.acquire(1);
      log.add(1);
    });
    REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 2));
    REQUIRE_FALSE(semaphore.try_acquire(1));
    REQUIRE(semaphore.available() == 2);
    semaphore.release(2);
    REQUIRE(semaphore.available() == 4);
    REQUIRE(log.size() == 0);
    semaphore.release(1);
    REQUIRE(big.join());
    REQUIRE(parked(runtime, WaitKind::semaphore) == 1);
    semaphore.release(1);
    REQUIRE(small.join());
    REQUIRE(log.entries() == std::vector<int>{5, 1});
    REQUIRE(semaphore.available() == 0);
  });
}

TEST_CASE("Semaphore: a big request that leaves lets those behind it in", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Semaphore semaphore(2);
    auto big = ramie::spawn([&] { return semaphore.acquire(5); });
    REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 1));
    Crowd crowd;
    crowd.add_fibers(2, [&](int) { (void)semaphore.acquire(1); });
    REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 3));
    big.cancel();
    REQUIRE(code_of(big.join()) == errc::canceled);
    crowd.join();
    REQUIRE(semaphore.available() == 0);
  });
}

TEST_CASE("Semaphore: one release serves all that it suffices for, whatever their number",
          "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const int threads : {31, 32, 33, 64, 65}) {
      Semaphore semaphore(0);
      std::atomic<int> served{0};
      std::atomic<int> started{0};
      Crowd crowd;
      const auto body = [&](int) {
        started.fetch_add(1);
        (void)semaphore.acquire();
        served.fetch_add(1);
      };
      crowd.add_threads(threads, body);
      crowd.add_fibers(40, body);
      REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 40));
      REQUIRE(comes_true([&] { return started.load() == threads + 40; }));
      std::this_thread::sleep_for(2ms);
      semaphore.release(static_cast<std::uint64_t>(threads) + 43);
      crowd.join();
      REQUIRE(served.load() == threads + 40);
      REQUIRE(semaphore.available() == 3);
    }
  });
}

TEST_CASE("Semaphore: close ends every wait, now and later", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const int threads : {1, 32, 33, 65}) {
      Semaphore semaphore(1);
      std::atomic<int> closed{0};
      Crowd crowd;
      const auto body = [&](int) {
        if (code_of(semaphore.acquire(2)) == errc::closed) closed.fetch_add(1);
      };
      crowd.add_threads(threads, body);
      crowd.add_fibers(5, body);
      REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 5));
      semaphore.close();
      crowd.join();
      REQUIRE(closed.load() == threads + 5);
      REQUIRE(semaphore.is_closed());
      REQUIRE_FALSE(semaphore.try_acquire());
      REQUIRE(code_of(semaphore.acquire(1)) == errc::closed);
      semaphore.release();
      REQUIRE(semaphore.available() == 2);
    }
  });
}

TEST_CASE("Semaphore: an acquire that a deadline ends owns nothing", "[sync]") {
  // Requests of every size give up all the time. In the end all permits are back.
  with_workers([](MiniRuntime&) {
    Semaphore semaphore(4);
    std::atomic<int> served{0};
    Crowd crowd;
    crowd.add_fibers(20, [&](int id) {
      for (int i = 0; i < 80; ++i) {
        const auto n = static_cast<std::uint64_t>((id + i) % 4 + 1);
        const auto patience = std::chrono::microseconds((id * 7 + i * 13) % 60);
        if (!ramie::timeout(patience, [&] { return semaphore.acquire(n); })) continue;
        served.fetch_add(1);
        if (i % 4 == 0) (void)ramie::sleep_for(10us);
        semaphore.release(n);
      }
    });
    crowd.add_threads(2, [&](int) {
      for (int i = 0; i < 100; ++i) {
        (void)semaphore.acquire(3);
        semaphore.release(3);
      }
    });
    std::this_thread::sleep_for(2ms);
    crowd.cancel_fibers();
    crowd.join();
    REQUIRE(semaphore.available() == 4);
  });
}

TEST_CASE("Semaphore: a request for nothing waits in line all the same", "[sync]") {
  MiniRuntime runtime(1);
  Semaphore semaphore(0);
  REQUIRE(semaphore.acquire(0));
  auto one = ramie::spawn([&] { return semaphore.acquire(1); });
  REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 1));
  auto none = ramie::spawn([&] { return semaphore.acquire(0); });
  REQUIRE(park_comes_true(runtime, WaitKind::semaphore, 2));
  semaphore.release(1);
  REQUIRE(one.join());
  REQUIRE(none.join());
}

// As for Notify. When the permit is there, the fiber that gave it has left the object.
TEST_CASE("Semaphore: who gets the last permit may destroy it", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 300; ++round) {
      auto semaphore = std::make_unique<Semaphore>(0);
      Semaphore* object = semaphore.get();
      auto hasty = ramie::spawn([object, round] {
        return ramie::timeout(round * 1us, [&] { return object->acquire(2); });
      });
      auto giver = ramie::spawn([object] { object->release(2); });
      if (!hasty.join()) {
        for (int i = 0; i < 2; ++i)
          while (!object->try_acquire()) std::this_thread::yield();
      }
      semaphore.reset();
      REQUIRE(giver.join());
    }
  });
}

TEST_CASE("Semaphore: who sees it closed may destroy it", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 300; ++round) {
      auto semaphore = std::make_unique<Semaphore>(0);
      Semaphore* object = semaphore.get();
      auto closer = ramie::spawn([object] { object->close(); });
      REQUIRE(code_of(object->acquire()) == errc::closed);
      semaphore.reset();
      REQUIRE(closer.join());
    }
  });
}

// Goal: a waiter whose wait was ended by a cancel that its Shield hides stays the first. It loses
// no permit that is released meanwhile, and nobody else takes it.
// Method: one worker, so that cancel and release both come before the waiter runs again.
TEST_CASE("Semaphore: a hidden cancel costs neither the permits nor the place", "[sync]") {
  MiniRuntime runtime(1);
  const auto shielded = [](Semaphore& semaphore, std::uint64_t n) {
    return ramie::spawn([&semaphore, n] {
      const ramie::Shield shield;
      return semaphore.acquire(n);
    });
  };
  const auto until_parked = [&](std::size_t count) {
    while (parked(runtime, ramie::sched::WaitKind::semaphore) != count) ramie::yield_now();
  };
  const auto in_time = [](auto& handle) {
    return ramie::timeout(5s, [&] { return handle.join(); }).has_value();
  };
  SECTION("a bigger request stands behind it") {
    auto served = ramie::spawn([&] {
      Semaphore semaphore(0);
      auto first = shielded(semaphore, 1);
      until_parked(1);
      auto second = ramie::spawn([&] { return semaphore.acquire(5); });
      until_parked(2);
      first.cancel();
      semaphore.release(1);
      const bool is_served = in_time(first);
      semaphore.release(6);
      return is_served && in_time(second) && semaphore.available() == 1;
    });
    REQUIRE(served.join() == true);
  }
  SECTION("a smaller request comes") {
    auto served = ramie::spawn([&] {
      Semaphore semaphore(0);
      auto first = shielded(semaphore, 5);
      until_parked(1);
      first.cancel();
      semaphore.release(5);
      const bool is_overtaken = semaphore.try_acquire(1);
      return in_time(first) && !is_overtaken && semaphore.available() == 0;
    });
    REQUIRE(served.join() == true);
  }
}

TEST_CASE("Semaphore: try_acquire takes what is there, also after a line has ended", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 200; ++round) {
      Semaphore semaphore(0);
      auto waiting = ramie::spawn([&] { return semaphore.acquire(1); });
      if (round % 2 == 0) std::this_thread::sleep_for(20us);
      semaphore.release(3);
      REQUIRE(waiting.join());
      auto other = ramie::spawn([&] { return semaphore.try_acquire(); });
      REQUIRE(semaphore.try_acquire());
      REQUIRE(other.join() == true);
      REQUIRE(semaphore.available() == 0);
    }
  });
}
