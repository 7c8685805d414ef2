// Goal: I1, I3, I4 and I6: an edge is never lost, whichever way it comes between a fiber's
// EAGAIN, its clear and its wait; a shutdown reaches everybody; the directions do not mix.
// Method: the shipped ScheduledIo with the shipped waiting protocol, a fiber for each direction,
// against an edge-triggered kernel: it tells each change once.
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

constexpr int kClearUnseen = 24;

struct Io {
  Kernel kernel;
  Driver::Owner driver = *Driver::create();
  ScheduledIo& io = **driver->add_source(1, Interest::readable | Interest::writable);
  Atomic<int> to_read{0}, to_write{0};  // the kernel's: what a call would find

  ~Io() { (void)driver->deregister_source(io, 1); }

  static std::uint8_t bits_of(Direction direction) {
    return direction == Direction::read ? IoState::kReadable : IoState::kWritable;
  }
  Atomic<int>& available(Direction direction) {
    return direction == Direction::read ? to_read : to_write;
  }

  void publish(std::uint8_t ready) {
    ramie::sched::WakeList wakes;
    io.publish(ready, wakes);
  }

  // The kernel: something becomes available, and epoll tells so once.
  void deliver(Direction direction) {
    available(direction).fetch_add(1, Order::acq_rel);
    publish(bits_of(direction));
  }

  ramie::Result<IoState::Snapshot> wait(Direction direction) {
    const bool reads = direction == Direction::read;
    return io.wait(reads ? Interest::readable : Interest::writable, ramie::sched::WaitKind::io,
                   ScheduledIo::Sharing::one_waiter);
  }

  // A fiber: moves `count` units. False: shut down.
  bool move(Direction direction, int count) {
    while (count > 0) {
      const auto seen = wait(direction);
      if (!seen) return false;
      if (available(direction).load(Order::acquire) > 0) {
        available(direction).fetch_sub(1, Order::acq_rel);
        --count;
      } else {
        io.state().clear(direction, bits_of(direction),
                         is_mutant(kClearUnseen) ? io.state().load() : *seen);
      }
    }
    return true;
  }
};

}  // namespace

TEST_CASE("ScheduledIo model: an edge between EAGAIN and the clear, or before the wait, survives") {
  check_model("scheduled io: one direction, 3 edges", [] {
    Io io;
    FiberThread fiber([&] { check(io.move(Direction::read, 3), "nobody shuts down"); });
    for (int i = 0; i < 3; ++i) io.deliver(Direction::read);
  }, {{281, "a clear ignores the tick"},
      {282, "the tick wraps at 2"},
      {284, "clear is a load and a store"},
      {277, "readiness is not read again under the lock"},
      {278, "the waiters are taken before readiness is published"},
      {kClearUnseen, "the clear uses a tick that was read after the call"}}, {.preemptions = 3});
}

TEST_CASE("ScheduledIo model: a clear of one direction keeps an edge of the other") {
  check_model("scheduled io: both directions", [] {
    Io io;
    FiberThread reader([&] { check(io.move(Direction::read, 1), "nobody shuts down"); });
    FiberThread writer([&] { check(io.move(Direction::write, 2), "nobody shuts down"); });
    io.deliver(Direction::write);
    io.deliver(Direction::read);
    io.deliver(Direction::write);
  }, {{281, "a clear ignores the tick"},
      {284, "clear is a load and a store"},
      {286, "a clear compares the other direction's tick"},
      {277, "readiness is not read again under the lock"}}, {.preemptions = 2});
}

TEST_CASE("ScheduledIo model: a shutdown is sticky and wakes both directions") {
  check_model("scheduled io: shutdown", [] {
    Io io;
    FiberThread reader([&] { (void)io.move(Direction::read, 2); });
    FiberThread writer([&] { check(!io.move(Direction::write, 1), "nothing was written"); });
    Thread closer([&] { io.io.shut_down(); });
    io.deliver(Direction::read);
    reader.join();
    writer.join();
    closer.join();
    check(io.io.state().load().is_shut_down(), "the shutdown was overwritten");
  }, {{283, "publish is a load and a store"},
      {284, "clear is a load and a store"},
      {285, "publish does not carry the shutdown"},
      {277, "readiness is not read again under the lock"},
      {280, "the shutdown takes no waiters"}}, {.preemptions = 2});
}

TEST_CASE("ScheduledIo model: a peer's close is final: no clear takes it back") {
  check_model("scheduled io: closed", [] {
    Io io;
    const auto drain = [&] {  // reads until the end of the stream
      for (;;) {
        const IoState::Snapshot seen = *io.wait(Direction::read);
        if ((seen.ready() & IoState::kReadClosed) != 0) return;
        io.io.state().clear(Direction::read, IoState::kReadSide, seen);
      }
    };
    FiberThread one([&] {
      drain();
      io.io.state().clear(Direction::read, IoState::kReadSide, io.io.state().load());
      drain();
    });
    io.deliver(Direction::read);
    io.publish(IoState::kReadClosed);
  }, {{287, "a clear takes closed bits too"}}, {.preemptions = 3});
}
