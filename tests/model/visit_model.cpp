// Goal: U8: an operation and its cancel do not wait for a fiber that keeps the owner of its ring.
// Another worker uses the ring then. It waits for no owner, and takes no wake-up away from it.
// Method: as uring_model.cpp, with a thread of the model that visits.
#include "tests/model/uring_rig.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using enum Loop::Place;

TEST_CASE("Uring model: while its owner is stuck in a fiber another worker takes what completes") {
  check_model("uring: a stuck owner", [] {
    Rig rig({leaves, stays}, {.is_free = true});
    Event has_ended;
    Atomic<bool> is_over{false};
    FiberThread fiber([&] {
      rig.operate(choose(2) == 0 ? kRead : kSend, true);
      is_over.store(true, Order::release);
      has_ended.signal();
    }, &rig.loop);
    FiberThread stuck([&] { has_ended.wait(); }, &rig.loop);
    Thread visitor([&] {
      for (; !is_over.load(Order::acquire); yield()) rig.visit();
    });
    rig.loop.run();
    fiber.join();
    stuck.join();
    visitor.join();
  }, Mutants{471, 474}, {.preemptions = 2});
}

TEST_CASE("Uring model: while its owner is stuck in a fiber another worker sends the cancels") {
  check_model("uring: a cancel while the owner is stuck", [] {
    Rig rig({leaves, stays}, {.is_free = true});
    Event has_ended;
    Atomic<bool> is_over{false};
    FiberThread fiber([&] {
      rig.operate(kDeaf);
      is_over.store(true, Order::release);
      has_ended.signal();
    }, &rig.loop);
    FiberThread stuck([&] {
      fiber.cancel();
      has_ended.wait();
    }, &rig.loop);
    Thread visitor([&] {
      for (; !is_over.load(Order::acquire); yield()) rig.visit();
    });
    rig.loop.run();
    fiber.join();
    stuck.join();
    visitor.join();
  }, Mutants{475}, {.preemptions = 1});
}

TEST_CASE("Uring model: a visitor keeps no owner asleep, and waits for none") {
  check_model("uring: a visitor while the owner goes to sleep", [] {
    Rig rig({leaves}, {.is_free = true});
    FiberThread fiber([&] { rig.operate(kDeaf); }, &rig.loop);
    Thread visitor([&] {
      rig.visit();
      fiber.cancel();
      rig.visit();
    });
    rig.loop.run();
    fiber.join();
    visitor.join();
  }, Mutants{472, 473}, {.preemptions = 1});
}

// A cancel is in the inbox already. Only the bell reports a fiber that others woke.
TEST_CASE("Uring model: a bell that a visitor has heard wakes the owner all the same") {
  check_model("uring: a visitor and the bell", [] {
    Rig rig({stays}, {.is_free = true});
    ramie::sync::Notify called;
    FiberThread fiber([&] { rig.operate_until(called); }, &rig.loop);
    Thread visitor([&] {
      rig.loop.worker().unpark();
      called.notify_one();
      rig.visit();
    });
    rig.loop.run();
    fiber.join();
    visitor.join();
  }, Mutants{470}, {.preemptions = 2});
}

TEST_CASE("Uring model: what a visitor hears of the shard its owner hears, too") {
  check_model("uring: a visitor and the shard", [] {
    Shard shard;
    Rig rig({stays}, {.is_free = true}, &shard);
    FiberThread fiber([&] { rig.operate_until(shard.readable); }, &rig.loop);
    Thread visitor([&] {
      rig.loop.worker().unpark();
      rig.kernel.set_readable();
      rig.visit();
    });
    rig.loop.run();
    fiber.join();
    visitor.join();
  }, Mutants{476}, {.preemptions = -1});
}
