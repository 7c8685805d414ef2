// Goal: I1, I3, I4 and I6: an edge is never lost, whichever way it comes between a fiber's
// EAGAIN, its clear and its wait; a shutdown reaches everybody; the directions do not mix.
// Method: the shipped IoState, with a waiter per direction linked as ScheduledIo does it, against
// an edge-triggered kernel: it tells each change once.
//
//   driver                                 fiber
//   state.publish(ready)            I1     state.load(): not there
//   lock; unlink satisfied; unlock         lock; state.load() again (I6); link; unlock
//   wake them                              sleep
#include "io/io_state.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::io::Direction;
using ramie::io::IoState;

namespace {

// Mutants of the protocol; those of the word stand in its header.
enum : int { kNoSecondLook = 21, kWakeBeforePublish = 22, kSilentShutdown = 23, kClearUnseen = 24 };

struct Io {
  struct Side {
    explicit Side(std::uint8_t bits) : mask(bits) {}

    const std::uint8_t mask;
    Cell<bool> is_linked{false};
    Event wake;
    Atomic<int> available{0};  // the kernel's: what a call would find
  };

  IoState state;
  Mutex mutex;
  Side read{IoState::kReadSide}, write{IoState::kWriteSide};

  Side& side(Direction direction) { return direction == Direction::read ? read : write; }

  void publish(std::uint8_t ready) {
    if (!is_mutant(kWakeBeforePublish)) state.publish(ready);
    take_waiters(ready);
    if (is_mutant(kWakeBeforePublish)) state.publish(ready);
  }

  void shut_down() {
    state.shut_down();
    if (!is_mutant(kSilentShutdown)) take_waiters(IoState::kReadyMask);
  }

  void take_waiters(std::uint8_t ready) {
    mutex.lock();
    const bool reader = (ready & read.mask) != 0 && read.is_linked;
    const bool writer = (ready & write.mask) != 0 && write.is_linked;
    if (reader) read.is_linked = false;
    if (writer) write.is_linked = false;
    mutex.unlock();
    if (reader) read.wake.signal();
    if (writer) write.wake.signal();
  }

  IoState::Snapshot wait(Direction direction) {
    Side& mine = side(direction);
    const auto is_over = [&](IoState::Snapshot now) {
      return (now.ready() & mine.mask) != 0 || now.is_shut_down();
    };
    for (;;) {
      IoState::Snapshot now = state.load();
      if (is_over(now)) return now;
      mutex.lock();
      if (!is_mutant(kNoSecondLook)) now = state.load();  // I6
      if (!is_over(now)) mine.is_linked = true;
      mutex.unlock();
      if (!is_over(now)) mine.wake.wait();
    }
  }

  // The kernel: something becomes available, and epoll tells so once.
  void deliver(Direction direction) {
    side(direction).available.fetch_add(1, Order::acq_rel);
    publish(direction == Direction::read ? IoState::kReadable : IoState::kWritable);
  }

  // A fiber: moves `count` units. False: shut down.
  bool move(Direction direction, int count) {
    Side& mine = side(direction);
    while (count > 0) {
      const IoState::Snapshot seen = wait(direction);
      if (mine.available.load(Order::acquire) > 0) {
        mine.available.fetch_sub(1, Order::acq_rel);
        --count;
      } else if (seen.is_shut_down()) {
        return false;
      } else {
        const IoState::Snapshot now = is_mutant(kClearUnseen) ? state.load() : seen;
        state.clear(direction, direction == Direction::read ? IoState::kReadable
                                                            : IoState::kWritable, now);
      }
    }
    return true;
  }
};

}  // namespace

TEST_CASE("ScheduledIo model: an edge between EAGAIN and the clear, or before the wait, survives") {
  check_model("scheduled io: one direction, 3 edges", [] {
    Io io;
    Thread fiber([&] { check(io.move(Direction::read, 3), "nobody shuts down"); });
    for (int i = 0; i < 3; ++i) io.deliver(Direction::read);
  }, {{1, "a clear ignores the tick"},
      {2, "the tick wraps at 2"},
      {4, "clear is a load and a store"},
      {kNoSecondLook, "readiness is not read again under the lock"},
      {kWakeBeforePublish, "the waiters are taken before readiness is published"},
      {kClearUnseen, "the clear uses a tick that was read after the call"}}, {.preemptions = 3});
}

TEST_CASE("ScheduledIo model: a clear of one direction keeps an edge of the other") {
  check_model("scheduled io: both directions", [] {
    Io io;
    Thread reader([&] { check(io.move(Direction::read, 1), "nobody shuts down"); });
    Thread writer([&] { check(io.move(Direction::write, 2), "nobody shuts down"); });
    io.deliver(Direction::write);
    io.deliver(Direction::read);
    io.deliver(Direction::write);
  }, {{1, "a clear ignores the tick"},
      {4, "clear is a load and a store"},
      {6, "a clear compares the other direction's tick"},
      {kNoSecondLook, "readiness is not read again under the lock"}}, {.preemptions = 2});
}

TEST_CASE("ScheduledIo model: a shutdown is sticky and wakes both directions") {
  check_model("scheduled io: shutdown", [] {
    Io io;
    Thread reader([&] { (void)io.move(Direction::read, 2); });
    Thread writer([&] { check(!io.move(Direction::write, 1), "nothing was written"); });
    Thread closer([&] { io.shut_down(); });
    io.deliver(Direction::read);
    reader.join();
    writer.join();
    closer.join();
    check(io.state.load().is_shut_down(), "the shutdown was overwritten");
  }, {{3, "publish is a load and a store"},
      {4, "clear is a load and a store"},
      {5, "publish does not carry the shutdown"},
      {kNoSecondLook, "readiness is not read again under the lock"},
      {kSilentShutdown, "the shutdown takes no waiters"}}, {.preemptions = 2});
}

TEST_CASE("ScheduledIo model: a peer's close is final: no clear takes it back") {
  check_model("scheduled io: closed", [] {
    Io io;
    const auto drain = [&] {  // reads until the end of the stream
      for (;;) {
        const IoState::Snapshot seen = io.wait(Direction::read);
        if ((seen.ready() & IoState::kReadClosed) != 0) return;
        io.state.clear(Direction::read, IoState::kReadSide, seen);
      }
    };
    Thread one([&] {
      drain();
      io.state.clear(Direction::read, IoState::kReadSide, io.state.load());
      drain();
    });
    io.deliver(Direction::read);
    io.publish(IoState::kReadClosed);
  }, {{7, "a clear takes closed bits too"}}, {.preemptions = 3});
}
