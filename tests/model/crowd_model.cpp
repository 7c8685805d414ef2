// Goal: the laws of the other models hold with more fibers that meet more often, with cancels in
// between. No search can exhaust that.
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
using model::Mutants;
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
    }, Mutants{131, 132, 135},
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
    }, Mutants{103, 104, 123},
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
    }, Mutants{112},
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
        const ramie::Shield shield;  // it was cancelled, or has received everything
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
    }, Mutants{104, 161, 163, 165, 168},
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
    }, Mutants{141, 142},
       {.mode = mode, .spurious = true});
  }
}
