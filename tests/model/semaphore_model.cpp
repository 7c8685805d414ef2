// Goal: permits are neither lost nor invented, and nobody overtakes the queue. The waiter that gets
// a permit (or learns of the close) may destroy the semaphore while the releaser has not returned
// yet.
// Method: the shipped Semaphore with the shipped waiting protocol.
#include "tests/model/stage.hpp"

#include <ramie/sync/semaphore.hpp>

#include <catch2/catch.hpp>

#include <optional>

using namespace ramie::model;
using ramie::sync::Semaphore;

TEST_CASE("Semaphore model: a waiter with a permit may destroy it, also after a cancelled wait") {
  check_model("semaphore: the last touch", [] {
    std::optional<Semaphore> semaphore(std::in_place, 0);
    FiberThread waiter([&] {
      if (!semaphore->acquire()) {
        const ramie::Shield shield;
        check(semaphore->acquire().has_value(), "a shielded wait was ended");
      }
      semaphore.reset();
    });
    Thread giver([&] { semaphore->release(); });
    waiter.cancel();
  }, Mutants{121, 101, 12},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Semaphore model: a waiter whose cancel is hidden gets what was released meanwhile") {
  check_model("semaphore: a hidden cancel", [] {
    Semaphore semaphore(0);
    FiberThread waiter([&] {
      const ramie::Shield shield;
      check(semaphore.acquire().has_value(), "a shielded wait was ended");
    });
    Thread giver([&] { semaphore.release(); });
    waiter.cancel();
  }, Mutants{103});
}

TEST_CASE("Semaphore model: a small request waits behind a big one, until that one gives up") {
  check_model("semaphore: the line", [] {
    Semaphore semaphore(0);
    FiberThread big([&] {
      if (semaphore.acquire(2)) semaphore.release(2);
    });
    big.until_waits();
    FiberThread small([&] { check(semaphore.acquire().has_value(), "nobody cancels that"); });
    Thread giver([&] { semaphore.release(2); });
    big.cancel();
    small.join();
    giver.join();
    big.join();
    check(semaphore.available() == 1, "a permit was lost or made up");
  }, Mutants{104, 123}, {.preemptions = 2});
}

TEST_CASE("Semaphore model: nobody takes a permit before those that wait for one") {
  check_model("semaphore: no overtaking", [] {
    Semaphore semaphore(0);
    FiberThread big([&] { check(semaphore.acquire(2).has_value(), "nobody cancels that"); });
    big.until_waits();
    Thread giver([&] { semaphore.release(1); });
    Thread thief([&] { check(!semaphore.try_acquire(), "a newcomer overtook the line"); });
    semaphore.release(1);
    big.join();
    giver.join();
    thief.join();
    check(semaphore.available() == 0, "a permit was lost or made up");
  }, Mutants{122},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Semaphore model: a permit given while WAITERS goes off is not lost") {
  check_model("semaphore: WAITERS off", [] {
    Semaphore semaphore(0);
    FiberThread first([&] { check(semaphore.acquire().has_value(), "nobody cancels that"); });
    first.until_waits();
    semaphore.release(2);
    first.join();  // the queue is empty now, but WAITERS is on
    FiberThread taker([&] { check(semaphore.acquire().has_value(), "nobody cancels that"); });
    Thread giver([&] { semaphore.release(); });
    semaphore.release();
    taker.join();
    giver.join();
    check(semaphore.available() == 2, "a permit was lost or made up");
  }, Mutants{126},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Semaphore model: one permit lets one in at a time, and publishes what he did") {
  check_model("semaphore: as a lock", [] {
    Semaphore semaphore(1);
    Cell<int> inside{0};
    const auto enter = [&] {
      if (!semaphore.acquire()) return;
      inside = inside + 1;
      semaphore.release();
    };
    FiberThread one(enter), two(enter);
    two.cancel();
  }, Mutants{125, 127, 128}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Semaphore model: close() ends every wait, and one that hears of it may destroy it") {
  check_model("semaphore: close", [] {
    std::optional<Semaphore> semaphore(std::in_place, 0);
    Atomic<int> users{2};
    const auto leave = [&] {
      if (users.fetch_sub(1, Order::acq_rel) == 1) semaphore.reset();
    };
    FiberThread waiter([&] {
      check(!semaphore->acquire(2), "there are no two permits");
      check(!semaphore->acquire(2), "it was closed");
      leave();
    });
    Thread giver([&] {
      semaphore->release();
      leave();
    });
    semaphore->close();
  }, Mutants{124, 129},
     {.preemptions = 2, .spurious = true});
}
