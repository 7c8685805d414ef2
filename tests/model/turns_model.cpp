// Goal: fibers that take from one descriptor in turn (accept): what is published wakes one of them,
// and yet nothing that can be taken is left lying while one of them waits; an end reaches all.
// Method: the shipped ScheduledIo with Sharing::in_turn, against a kernel whose one edge may stand
// for several connections.
#include "tests/model/poller.hpp"
#include "tests/model/stage.hpp"

#include "io/driver.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::io::Direction;
using ramie::io::Driver;
using ramie::io::Interest;
using ramie::io::IoState;
using ramie::io::ScheduledIo;

namespace {

constexpr int kPassesNothingOn = 500;

struct Line {
  Kernel kernel;
  Driver::Owner driver = *Driver::create();
  ScheduledIo& io = **driver->add_source(1, Interest::readable);
  Atomic<int> pending{0};  // the kernel's: connections that wait

  ~Line() { (void)driver->deregister_source(io, 1); }

  void deliver(int count) {
    pending.fetch_add(count, Order::acq_rel);
    ramie::sched::WakeList wakes;
    io.publish(IoState::kReadable, wakes);
  }

  bool take_pending() {
    int left = pending.load(Order::acquire);
    while (left > 0)
      if (pending.compare_exchange_strong(left, left - 1, Order::acq_rel, Order::acquire))
        return true;
    return false;
  }

  // As accept() does. False: cancelled or shut down.
  bool take() {
    std::uint32_t number = 0;
    for (;;) {
      const auto seen = io.wait(Interest::readable, ramie::sched::WaitKind::accept,
                                ScheduledIo::Sharing::in_turn, number);
      if (!seen) return false;
      if (take_pending()) {
        if (!is_mutant(kPassesNothingOn)) (void)io.pass_on(Interest::readable);
        return true;
      }
      io.state().clear(IoState::noted_for(Interest::readable), *seen);
    }
  }
};

}  // namespace

TEST_CASE("Turns model: one edge for two connections reaches two waiters, one after the other") {
  check_model("turns: two waiters, one edge", [] {
    Line line;
    FiberThread one([&] { check(line.take(), "nobody ends it"); });
    FiberThread two([&] { check(line.take(), "nobody ends it"); });
    line.deliver(2);
  }, {{kPassesNothingOn, "a waiter that has taken something wakes nobody"},
      {277, "readiness is not read again under the lock"}}, {.preemptions = 3});
}

TEST_CASE("Turns model: two edges reach two waiters") {
  check_model("turns: two waiters, two edges", [] {
    Line line;
    FiberThread one([&] { check(line.take(), "nobody ends it"); });
    FiberThread two([&] { check(line.take(), "nobody ends it"); });
    line.deliver(1);
    line.deliver(1);
  }, {{277, "readiness is not read again under the lock"}}, {.preemptions = 2});
}

TEST_CASE("Turns model: a waiter that a cancel has claimed leaves its turn to the next") {
  check_model("turns: cancelled", [] {
    Line line;
    bool has_taken = false;
    FiberThread one([&] { has_taken = line.take(); });
    FiberThread two([&] { check(line.take(), "nobody ends it"); });
    Thread canceller([&] { one.cancel(); });
    line.deliver(1);
    one.join();
    if (has_taken) line.deliver(1);
    two.join();
    canceller.join();
  }, {{501, "a waiter that was claimed by a cancel counts as woken"}}, {.preemptions = 2});
}

TEST_CASE("Turns model: a shutdown wakes the whole line") {
  check_model("turns: shutdown", [] {
    Line line;
    FiberThread one([&] { (void)line.take(); });
    FiberThread two([&] { (void)line.take(); });
    Thread closer([&] { line.io.shut_down(); });
    one.join();
    two.join();
    closer.join();
  }, {{503, "a shutdown wakes the first in the line"}}, {.preemptions = 2});
}

TEST_CASE("Turns model: the end of the registration wakes the whole line") {
  check_model("turns: deregistered", [] {
    Line line;
    FiberThread one([&] { (void)line.take(); });
    FiberThread two([&] { (void)line.take(); });
    Thread closer([&] { line.io.go(); });
    one.join();
    two.join();
    closer.join();
  }, {{504, "the end of a registration wakes the first in the line"}}, {.preemptions = 2});
}
