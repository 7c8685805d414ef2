// Goal: I1, I3, I4 and I6: an edge is never lost, wherever it comes between a fiber's EAGAIN, its
// clear and its wait. A shutdown reaches every waiter. The directions are independent.
// Method: the shipped ScheduledIo with the shipped waiting protocol, one fiber for each direction,
// against an edge-triggered kernel that reports each change once.
#include "tests/model/poller.hpp"
#include "tests/model/stage.hpp"

#include "io/driver.hpp"
#include "io/operation.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <mutex>

using namespace ramie::model;
using ramie::io::Direction;
using ramie::io::Driver;
using ramie::io::Interest;
using ramie::io::IoState;
using ramie::io::ScheduledIo;

namespace {

constexpr int kClearUnseen = 288;

struct Io {
  Kernel kernel;
  Driver::Owner driver = *Driver::create();
  ScheduledIo& io = **driver->add_source(1, Interest::readable | Interest::writable);
  Atomic<int> to_read{0}, to_write{0};  // in the kernel: what a call would find

  ~Io() { (void)driver->deregister_source(io); }

  static IoState::Bits bits_of(Direction direction) {
    return direction == Direction::read ? IoState::kReadable : IoState::kWritable;
  }
  Atomic<int>& available(Direction direction) {
    return direction == Direction::read ? to_read : to_write;
  }

  void publish(IoState::Bits ready) {
    ramie::sched::WakeList wakes;
    io.publish(ready, wakes);
  }

  // The kernel: something becomes available, and epoll reports it once.
  void deliver(Direction direction) {
    available(direction).fetch_add(1, Order::acq_rel);
    publish(bits_of(direction));
  }

  ramie::Result<IoState::Snapshot> wait(Direction direction) {
    const bool reads = direction == Direction::read;
    return io.wait(reads ? Interest::readable : Interest::writable, ramie::sched::WaitKind::io,
                   ScheduledIo::Sharing::one_waiter);
  }

  // A fiber: moves `count` units. Returns false after a shutdown.
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
  check_model("scheduled io: one direction, 3 edges",
              [] {
                Io io;
                FiberThread fiber([&] { check(io.move(Direction::read, 3), "nobody shuts down"); });
                for (int i = 0; i < 3; ++i) io.deliver(Direction::read);
              },
              Mutants{281, 282, 284, 277, 278,
                      {kClearUnseen, "the clear uses a tick that was read after the call"}},
              {.preemptions = 3});
}

TEST_CASE("ScheduledIo model: a clear of one direction keeps an edge of the other") {
  check_model(
      "scheduled io: both directions",
      [] {
        Io io;
        FiberThread reader([&] { check(io.move(Direction::read, 1), "nobody shuts down"); });
        FiberThread writer([&] { check(io.move(Direction::write, 2), "nobody shuts down"); });
        io.deliver(Direction::write);
        io.deliver(Direction::read);
        io.deliver(Direction::write);
      },
      Mutants{281, 284, 286, 277},
      {.preemptions = 2});
}

TEST_CASE("ScheduledIo model: a shutdown is sticky and wakes both directions") {
  check_model(
      "scheduled io: shutdown",
      [] {
        Io io;
        FiberThread reader([&] { (void)io.move(Direction::read, 2); });
        FiberThread writer([&] { check(!io.move(Direction::write, 1), "nothing was written"); });
        Thread closer([&] { io.io.shut_down(); });
        io.deliver(Direction::read);
        reader.join();
        writer.join();
        closer.join();
        check(io.io.state().load().is_shut_down(), "the shutdown was overwritten");
      },
      Mutants{283, 284, 285, 277, 280},
      {.preemptions = 2});
}

// What a call of this reader finds, as in a kernel.
struct Stream {
  Atomic<int> data{0}, error{0};
  Atomic<bool> has_ended{false};
  int calls = 0;

  ramie::io::Bytes receive(int limit) {
    check(++calls <= limit, "the reader spins");
    // Reads what came last first, as if in one step.
    const bool is_over = has_ended.load(Order::acquire);
    const bool is_bad = error.load(Order::acquire) != 0;
    if (data.load(Order::acquire) > 0) return data.fetch_sub(1, Order::acq_rel), 1;
    if (is_bad) return -error.exchange(0, Order::acq_rel);
    return is_over ? 0 : -EAGAIN;
  }
};

// The shipped loop. Returns bytes, 0 at the end, or -1.
int read(Io& io, Stream& stream, int limit, ramie::io::Short on_short = ramie::io::Short::clears) {
  const ramie::io::Operation reading{.io = io.io,
                                     .interest = Interest::readable,
                                     .kind = ramie::sched::WaitKind::io,
                                     .on_short = on_short};
  const auto n =
      ramie::io::run(reading, 4, [&](std::size_t&) { return stream.receive(limit); });
  return n ? static_cast<int>(*n) : -1;
}

TEST_CASE("ScheduledIo model: the loop of an operation loses no edge and does not spin") {
  check_model("scheduled io: the loop",
              [] {
                Io io;
                Stream stream;
                FiberThread reader([&] {
                  constexpr auto kNothing = ramie::io::Short::proves_nothing;  // one unit a call
                  check(read(io, stream, 6, kNothing) == 1, "no data");
                  check(read(io, stream, 6, kNothing) == 1, "no more data");
                });
                for (int i = 0; i < 2; ++i) {
                  stream.data.fetch_add(1, Order::acq_rel);
                  io.publish(IoState::kReadable);
                }
              },
              Mutants{289, 290, 281, 277}, {.preemptions = 3});
}

TEST_CASE("ScheduledIo model: a HUP that passes makes no reader spin, and the real end comes") {
  check_model(
      "scheduled io: a HUP that passes",
      [] {
        Io io;
        Stream stream;
        io.publish(IoState::kReadClosed | IoState::kPriorityClosed);  // not connected yet
        FiberThread reader([&] {
          check(read(io, stream, 7) == 1, "no data");
          check(read(io, stream, 7) == 0, "no end");
          check(read(io, stream, 7) == 0, "the end does not stay");
        });
        stream.data.store(1, Order::release);
        io.publish(IoState::kReadable);
        stream.has_ended.store(true, Order::release);
        io.publish(IoState::kReadClosed | IoState::kPriorityClosed);
      },
      Mutants{287, 281, 284, 277},
      {.preemptions = 3});
}

TEST_CASE("ScheduledIo model: a short read disproves no error that came with the data") {
  check_model("scheduled io: a short read",
              [] {
                Io io;
                Stream stream;
                FiberThread reader([&] {
                  check(read(io, stream, 5) == 1, "no data");
                  check(read(io, stream, 5) == -1, "no error");
                });
                stream.data.store(1, Order::release);
                stream.error.store(ECONNRESET, Order::release);
                io.publish(IoState::kReadable | IoState::kError | IoState::kReadNews);
              },
              Mutants{410}, {.preemptions = 3});
}

// The reader does not report what it took, and takes one unit at a time; two come with one edge.
TEST_CASE("ScheduledIo model: readiness for other people's code neither spins nor gets lost") {
  check_model(
      "scheduled io: level",
      [] {
        Io io;
        int units = 0;  // under the kernel's mutex
        const auto add = [&](int more) {
          const std::lock_guard lock(io.kernel.mutex);
          units += more;
          io.kernel.descriptors[1].level = units > 0 ? IoState::kReadable : IoState::Bits{0};
          return units > 0;
        };
        FiberThread reader([&] {
          for (int taken = 0, rounds = 1; taken < 3; ++rounds) {
            check(rounds <= 5, "the reader spins");
            const auto level = io.io.wait_for_level(
                Interest::readable, ramie::sched::WaitKind::io, ScheduledIo::Sharing::any);
            check(level.has_value() && level->ready.is_readable(), "nobody ends it");
            if (!add(0)) continue;  // other code may have taken it
            (void)add(-1);
            ++taken;
          }
        });
        (void)add(2);
        io.publish(IoState::kReadable);
        (void)add(1);
        io.publish(IoState::kReadable);
      },
      Mutants{411, 412, 413, 277},
      {.preemptions = 3});
}
