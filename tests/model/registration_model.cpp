// Goal: I5. The end of a registration ends its waits and no others. Only the holder of the baton
// reuses a slot, before it polls, so a late event reaches no other registration. The driver ends
// with the last of the runtime and the registrations.
// Method: the shipped io::Driver, RegistrationSet and ScheduledIo, on an epoll of the model.
#include "tests/model/poller.hpp"
#include "tests/model/stage.hpp"

#include "io/driver.hpp"
#include "io/operation.hpp"
#include "sched/scheduler.hpp"
#include "sched/wait.hpp"

#include <ramie/cancel.hpp>

#include <catch2/catch.hpp>

#include <optional>
#include <utility>

using namespace ramie::model;
using ramie::io::Driver;
using ramie::io::Interest;
using ramie::io::IoState;
using ramie::io::ScheduledIo;

namespace {

constexpr int kClosesFirst = 270;

// Takes a turn and makes its fibers runnable, as the holder of the baton does.
void turn(Driver& driver) {
  ramie::sched::FiberList out;
  driver.turn(ramie::base::Nanos(0), out);
  while (ramie::sched::Fiber* fiber = out.pop_front()) fiber->scheduler->submit(*fiber);
}

auto wait_readable(ScheduledIo& io) {
  return io.wait(Interest::readable, ramie::sched::WaitKind::readable,
                 ScheduledIo::Sharing::one_waiter);
}

}  // namespace

TEST_CASE("Registration model: an event of a batch in progress meets no other registration") {
  check_model("registration: a late event", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    ScheduledIo& first = **driver->add_source(1, Interest::readable);
    kernel.make_ready(1, IoState::kReadable);
    Thread worker([&] {
      turn(*driver);
      turn(*driver);
    });
    Thread owner([&] { (void)driver->deregister_source(first); });
    ScheduledIo& second = **driver->add_source(2, Interest::readable);
    worker.join();
    owner.join();
    check(second.state().load().ready() == 0, "it got another registration's readiness");
    check(!second.state().load().is_gone(), "it got another registration's end");
    (void)driver->deregister_source(second);
  }, Mutants{271, 273, 275}, {.preemptions = 3});
}

TEST_CASE("Registration model: its end ends its wait, though the slot is reused") {
  check_model("registration: deregister against a wait", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    ScheduledIo& first = **driver->add_source(1, Interest::readable);
    FiberThread fiber([&] {
      const auto ended = wait_readable(first);
      check(!ended && ended.error() == ramie::errc::canceled, "the wait did not learn of the end");
    });
    fiber.until_waits();
    Thread worker([&] { turn(*driver); });
    (void)driver->deregister_source(first);
    ScheduledIo& second = **driver->add_source(2, Interest::readable);
    worker.join();
    fiber.join();
    (void)driver->deregister_source(second);
  }, Mutants{272, 274},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Registration model: readiness reaches the fiber that is about to wait") {
  check_model("registration: an event against a wait", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    ScheduledIo& io = **driver->add_source(1, Interest::readable);
    Cell<int> data{0};
    FiberThread fiber([&] {
      const ramie::Shield shield;
      const auto seen = wait_readable(io);
      check(seen.has_value() && (seen->ready() & IoState::kReadable) != 0, "not readable");
      check(data == 7, "the event does not publish what came before");
    });
    Thread canceller([&] { fiber.cancel(); });
    data = 7;
    kernel.make_ready(1, IoState::kReadable);
    turn(*driver);
    fiber.join();
    (void)driver->deregister_source(io);
  }, Mutants{277, 278},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Registration model: a shutdown ends the waits, and a socket may outlive the driver") {
  check_model("registration: shutdown", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    Driver& alive = *driver;
    ScheduledIo& io = **driver->add_source(1, Interest::readable);
    FiberThread fiber([&] {
      const auto ended = wait_readable(io);
      check(!ended && ended.error() == ramie::errc::shutting_down, "nothing else ends it");
      (void)alive.deregister_source(io);
    });
    driver->shut_down();
    check(!driver->add_source(2, Interest::readable), "a registration after the shutdown");
    driver.reset();
  }, Mutants{276, 279}, {.preemptions = 2});
}

// As Socket::close_now(): another thread opens a descriptor that gets the number at once.
TEST_CASE("Registration model: a number that is reused at once keeps its new registration") {
  check_model("registration: a number is reused", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    ScheduledIo& first = **driver->add_source(1, Interest::readable);
    Event is_closed;
    Thread owner([&] {
      if (is_mutant(kClosesFirst)) is_closed.signal();
      (void)driver->deregister_source(first);
      is_closed.signal();
    });
    is_closed.wait();
    ScheduledIo& second = **driver->add_source(1, Interest::readable);
    FiberThread fiber([&] { check(wait_readable(second).has_value(), "nobody ends it"); });
    owner.join();
    kernel.make_ready(1, IoState::kReadable);
    turn(*driver);
    fiber.join();
    (void)driver->deregister_source(second);
  }, Mutants{{kClosesFirst, "the number is free before its registration has ended"}},
     {.preemptions = 2});
}

// A fiber yields as it enters its operation, and another one closes the socket and opens the next.
TEST_CASE("Registration model: an operation touches nothing of the slot's next owner") {
  check_model("registration: closed before the first try", [] {
    Kernel kernel;
    Driver::Owner driver = *Driver::create();
    ScheduledIo& io = **driver->add_source(1, Interest::readable);
    const ramie::io::Operation reading{
        .io = io, .interest = Interest::readable, .kind = ramie::sched::WaitKind::readable};
    (void)driver->deregister_source(io);
    turn(*driver);
    ScheduledIo& next = **driver->add_source(2, Interest::readable);
    check(&next == &io, "another slot");
    const bool has_heard = choose(2) == 0;  // of the next owner's descriptor: nothing is there
    if (has_heard) {
      ramie::sched::WakeList wakes;
      next.publish(IoState::kReadable, wakes);
      next.state().clear(IoState::kReadable, next.state().load());
    }
    FiberThread fiber([&] {
      ramie::sched::Wait wait(reading.kind, &io);
      const auto ended = run_entered(wait, reading, 0, [](std::size_t&) -> ramie::io::Bytes {
        check(false, "a call on another's descriptor");
        return 0;
      });
      check(!ended && ended.error() == ramie::errc::canceled, "it waits for another's descriptor");
    });
    fiber.join();
    (void)driver->deregister_source(next);
  }, Mutants{297, 298}, {.preemptions = 1});
}
