// Goal: the laws of the other models hold when more fibers meet, more often, with cancels in
// between: what no search can exhaust.
// Method: the shipped primitives, each with three or four fibers, in random and pct walks.
#include "tests/model/parcel.hpp"
#include "tests/model/stage.hpp"

#include <ramie/sync.hpp>

#include <catch2/catch.hpp>

#include <mutex>
#include <optional>

namespace model = ramie::model;
namespace primitives = ramie::sync;
using model::Cell;
using model::check;
using model::check_model;
using model::FiberThread;
using model::Mode;
using model::Parcel;
using model::PlainThread;
using model::Thread;

TEST_CASE("Crowd model: a Mutex between fibers that come again, one that is cancelled, a thread") {
  for (const Mode mode : {Mode::random, Mode::pct}) {
    check_model(mode == Mode::pct ? "crowd: mutex (pct)" : "crowd: mutex", [] {
      primitives::Mutex mutex;
      Cell<int> inside{0};
      const auto enter = [&](bool is_cancelable) {
        for (int i = 0; i < 2; ++i) {
          if (!is_cancelable) mutex.lock();
          else if (!mutex.lock_cancelable()) return;
          inside = inside + 1;
          mutex.unlock();
        }
      };
      FiberThread one([&] { enter(false); }), two([&] { enter(false); });
      FiberThread hasty([&] { enter(true); });
      Thread canceller([&] { hasty.cancel(); });
      {
        const PlainThread me;
        enter(false);
      }
      one.join();
      two.join();
      hasty.join();
      check(mutex.try_lock(), "it stays locked");
    }, {{131, "who is woken and finds it held leaves WOKEN on"},
        {132, "an unlock gives up when the first in line was cancelled"},
        {135, "the mutex is taken from the line with a relaxed exchange"}},
       {.mode = mode, .spurious = true});
  }
}

TEST_CASE("Crowd model: a Semaphore of two permits between four, two of them cancelled") {
  for (const Mode mode : {Mode::random, Mode::pct}) {
    check_model(mode == Mode::pct ? "crowd: semaphore (pct)" : "crowd: semaphore", [] {
      primitives::Semaphore semaphore(2);
      const auto use = [&](std::uint64_t n) {
        if (semaphore.acquire(n)) semaphore.release(n);
      };
      FiberThread one([&] { use(1); }), two([&] { use(2); }), three([&] { use(1); });
      FiberThread four([&] {
        const ramie::Shield shield;
        use(2);
      });
      Thread canceller([&] {
        two.cancel();
        four.cancel();
      });
      one.join();
      two.join();
      three.join();
      four.join();
      check(semaphore.available() == 2, "a permit was lost or made up");
    }, {{103, "who was passed over goes back into line without looking"},
        {104, "a waiter whose cancel was faster counts as served"},
        {123, "who leaves the line does not serve those behind it"}},
       {.mode = mode, .spurious = true});
  }
}

TEST_CASE("Crowd model: every notification reaches somebody, though two of four are cancelled") {
  for (const Mode mode : {Mode::random, Mode::pct}) {
    check_model(mode == Mode::pct ? "crowd: notify (pct)" : "crowd: notify", [] {
      primitives::Notify notify;
      const auto pass_on = [&] {
        if (notify.wait()) notify.notify_one();
      };
      FiberThread one(pass_on), two(pass_on), three(pass_on);
      FiberThread four([&] {
        const ramie::Shield shield;
        pass_on();
      });
      Thread canceller([&] {
        one.cancel();
        four.cancel();
      });
      notify.notify_one();
    }, {{112, "a notification that only the cancelled could have had is dropped"}},
       {.mode = mode, .spurious = true});
  }
}

TEST_CASE("Crowd model: a channel with senders that are cancelled, permits, and a hasty receiver") {
  for (const Mode mode : {Mode::random, Mode::pct}) {
    check_model(mode == Mode::pct ? "crowd: mpsc (pct)" : "crowd: mpsc", [] {
      auto [sender, receiver] = primitives::mpsc::channel<Parcel>(1);
      int sent = 0, received = 0;  // they order nothing
      const auto send_two = [&, from = &sender] {
        auto mine = *from;
        for (int i = 0; i < 2; ++i)
          if (mine.send(Parcel(1))) ++sent;
      };
      FiberThread one(send_two), two(send_two);
      FiberThread three([&, from = &sender] {
        auto mine = *from;
        auto permit = mine.reserve();
        if (permit && permit->send(Parcel(1))) ++sent;
        auto unused = mine.reserve();
      });
      FiberThread reader([&, from = &receiver] {
        while (const auto parcel = from->recv()) received += parcel->open();
        const ramie::Shield shield;  // it was cancelled, or that was all
        while (const auto parcel = from->recv()) received += parcel->open();
      });
      Thread canceller([&] {
        reader.cancel();
        two.cancel();
      });
      one.join();
      two.join();
      three.join();
      sender = {};
      reader.join();
      check(sent == received, "a value was lost or came twice");
    }, {{104, "a waiter whose cancel was faster counts as served"},
        {161, "a sender in line does not say so in the receiver's word"},
        {163, "the receiver goes to sleep without a second look"},
        {165, "a permit that is given back lets nobody in"},
        {168, "a value is published with a relaxed store"}},
       {.mode = mode, .spurious = true});
  }
}

TEST_CASE("Crowd model: a Condvar whose waiters are cancelled loses no item") {
  for (const Mode mode : {Mode::random, Mode::pct}) {
    check_model(mode == Mode::pct ? "crowd: condvar (pct)" : "crowd: condvar", [] {
      primitives::Mutex mutex;
      primitives::Condvar condvar;
      Cell<int> items{0};
      const auto take = [&] {
        std::unique_lock lock(mutex);
        if (!condvar.wait(lock, [&] { return items > 0; })) return;
        items = items - 1;
      };
      FiberThread hasty(take), one(take), two(take);
      Thread canceller([&] { hasty.cancel(); });
      const PlainThread me;
      for (int i = 0; i < 3; ++i) {
        const std::lock_guard lock(mutex);
        items = items + 1;
        condvar.notify_one();
      }
    }, {{141, "a waiter says that it waits after it has unlocked"},
        {142, "notify_one() says that nobody waits, though others do"}},
       {.mode = mode, .spurious = true});
  }
}
