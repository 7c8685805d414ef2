// Goal: fibers take from one descriptor one at a time (accept). One edge may stand for several
// units, yet nothing is left while a fiber waits. Each end reaches all fibers.
// Method: the shipped permit and the shipped loop under it, against a kernel that reports each
// change once.
#include "tests/model/poller.hpp"
#include "tests/model/stage.hpp"

#include "io/driver.hpp"
#include "io/operation.hpp"

#include <catch2/catch.hpp>
#include <cerrno>

using namespace ramie::model;
using ramie::errc;
using ramie::io::Driver;
using ramie::io::Interest;
using ramie::io::IoState;
using ramie::io::ScheduledIo;
using ramie::sched::WaitKind;

namespace {

constexpr int kKeepsPermit = 416;
constexpr int kKeepsPermitOnError = 417;

struct Listener {
  Kernel kernel;
  Driver::Owner driver = *Driver::create();
  ScheduledIo& io = **driver->add_source(1, Interest::readable);
  Atomic<int> pending{0};  // in the kernel: pending connections

  ~Listener() { (void)driver->deregister_source(io); }

  void deliver(int count) {
    pending.fetch_add(count, Order::acq_rel);
    ramie::sched::WakeList wakes;
    io.publish(IoState::kReadable, wakes);
  }

  // As TcpListener::accept().
  std::error_code accept() {
    const ramie::io::Operation accepting{.io = io,
                                         .interest = Interest::readable,
                                         .kind = WaitKind::accept,
                                         .sharing = ScheduledIo::Sharing::any};
    ramie::sched::Wait wait(WaitKind::accept, &io);
    if (auto entered = wait.enter(); !entered) return entered.error();
    if (auto taken = io.take_permit(wait, accepting.generation); !taken) return taken.error();
    // Only the fiber that has the permit calls this.
    const auto call = [this](std::size_t&) -> ramie::io::Bytes {
      if (pending.load(Order::acquire) == 0) return -EAGAIN;
      pending.fetch_sub(1, Order::acq_rel);
      return 0;
    };
    const auto done = run_entered(wait, accepting, 0, call);
    if (!is_mutant(kKeepsPermit) && (done || !is_mutant(kKeepsPermitOnError))) io.release_permit();
    return done ? std::error_code() : done.error();
  }
};

}  // namespace

TEST_CASE("Acceptors model: one edge for two connections reaches two fibers, one after the other") {
  check_model("acceptors: two fibers, one edge",
              [] {
                Listener listener;
                FiberThread one([&] { check(!listener.accept(), "nobody ends it"); });
                FiberThread two([&] { check(!listener.accept(), "nobody ends it"); });
                listener.deliver(2);
              },
              Mutants{{kKeepsPermit, "a fiber that has taken a connection keeps the permit"},
                      277, 281},
              {.preemptions = 2});
}

TEST_CASE("Acceptors model: a fiber whose wait for a connection is cancelled gives the permit on") {
  check_model(
      "acceptors: the first is cancelled",
      [] {
        Listener listener;
        FiberThread first([&] { check(listener.accept() == errc::canceled, "another end"); });
        first.until_waits();
        FiberThread second([&] { check(!listener.accept(), "nobody ends it"); });
        first.cancel();
        listener.deliver(1);
      },
      Mutants{{kKeepsPermitOnError, "a fiber whose wait fails keeps the permit"}},
      {.preemptions = 2});
}

TEST_CASE("Acceptors model: a fiber that is cancelled in the line is passed over") {
  check_model(
      "acceptors: the next is cancelled",
      [] {
        Listener listener;
        const PlainThread self;
        ramie::sched::Wait wait(WaitKind::accept, &listener.io);
        check(listener.io.take_permit(wait, listener.io.generation()).has_value(), "the first");
        FiberThread next([&] { check(listener.accept() == errc::canceled, "another end"); });
        next.until_waits();
        FiberThread last([&] { check(!listener.accept(), "nobody ends it"); });
        next.cancel();
        listener.io.release_permit();
        listener.deliver(1);
      },
      Mutants{104, 123},
      {.preemptions = 2});
}

TEST_CASE("Acceptors model: the end of the registration reaches the whole line") {
  check_model("acceptors: deregistered",
              [] {
                Listener listener;
                FiberThread one([&] { check(listener.accept() == errc::canceled, "another end"); });
                FiberThread two([&] { check(listener.accept() == errc::canceled, "another end"); });
                listener.io.close();
                one.join();
                two.join();
              },
              Mutants{274, {kKeepsPermitOnError, "a fiber whose wait fails keeps the permit"}},
              {.preemptions = 2});
}

// The fiber that has the permit was left behind: here it is a thread that never comes back.
TEST_CASE("Acceptors model: a shutdown ends the line although nobody gives the permit back") {
  check_model(
      "acceptors: shutdown",
      [] {
        Listener listener;
        const PlainThread self;
        ramie::sched::Wait wait(WaitKind::accept, &listener.io);
        check(listener.io.take_permit(wait, listener.io.generation()).has_value(), "the first");
        FiberThread fiber([&] { check(listener.accept() == errc::shutting_down, "another end"); });
        listener.io.shut_down();
        fiber.join();
      },
      Mutants{415}, {.preemptions = 2});
}

// A fiber that queues for the permit gets it after the slot has its next owner. It must not take
// from that owner.
TEST_CASE("Acceptors model: a fiber in the queue takes nothing from the slot's next owner") {
  check_model("acceptors: the slot is reused",
              [] {
                Kernel kernel;
                Driver::Owner driver = *Driver::create();
                ScheduledIo& io = **driver->add_source(1, Interest::readable);
                const PlainThread self;
                ramie::sched::Wait first(WaitKind::accept, &io);
                check(io.take_permit(first, io.generation()).has_value(), "the first");
                FiberThread next([&] {
                  const std::uint16_t generation = io.generation();
                  ramie::sched::Wait wait(WaitKind::accept, &io);
                  const auto taken = io.take_permit(wait, generation);
                  check(!taken && taken.error() == errc::canceled, "it has another's permit");
                });
                next.until_waits();
                (void)driver->deregister_source(io);
                Thread owner([&] {
                  ramie::sched::FiberList out;
                  driver->turn(ramie::base::Nanos(0), out);
                  ScheduledIo& reused = **driver->add_source(2, Interest::readable);
                  check(&reused == &io, "another slot");
                });
                io.release_permit();
                owner.join();
                next.join();
                (void)driver->deregister_source(io);
              },
              Mutants{418, 419}, {.preemptions = 3});
}
