// Laws of sync::Notify.
#include "tests/sync/support.hpp"

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
using ramie::sync::Notify;

namespace {

// Would a wait return at once? Takes the notification. Nobody else waits.
bool is_stored(MiniRuntime& runtime, Notify& notify) {
  auto fiber = ramie::spawn([&] { return notify.wait(); });
  const auto has_waited = [&] {
    return fiber.is_finished() || parked(runtime, WaitKind::notify) == 1;
  };
  REQUIRE(comes_true(has_waited));
  fiber.cancel();
  return fiber.join().has_value();
}

}  // namespace

TEST_CASE("Notify: at most one notification is stored", "[sync]") {
  MiniRuntime runtime(1);
  Notify notify;
  notify.notify_one();
  notify.notify_one();
  REQUIRE(notify.wait());
  auto fiber = ramie::spawn([&] { return ramie::timeout(2ms, [&] { return notify.wait(); }); });
  REQUIRE(code_of(fiber.join()) == errc::timed_out);
  notify.notify_all();
  fiber = ramie::spawn([&] { return ramie::timeout(2ms, [&] { return notify.wait(); }); });
  REQUIRE(code_of(fiber.join()) == errc::timed_out);
}

TEST_CASE("Notify: notify_one wakes the first in line", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Notify notify;
    Log log;
    Crowd crowd;
    for (int i = 0; i < 20; ++i) {
      crowd.add_fibers(1, [&, i](int) {
        (void)notify.wait();
        log.add(i);
      });
      REQUIRE(park_comes_true(runtime, WaitKind::notify, static_cast<std::size_t>(i) + 1));
    }
    for (std::size_t i = 0; i < 20; ++i) {
      notify.notify_one();
      REQUIRE(comes_true([&] { return log.size() == i + 1; }));
    }
    crowd.join();
    REQUIRE(log.entries() == numbers(0, 20));
  });
}

TEST_CASE("Notify: notify_all wakes those that wait, and nobody who comes later", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const int threads : {0, 31, 32, 33, 65}) {
      Notify notify;
      std::atomic<int> woken{0};
      Crowd crowd;
      const auto wait_once = [&](int) {
        if (notify.wait()) woken.fetch_add(1);
      };
      // Each fiber waits again as soon as it is woken. The notification must not end that second
      // wait.
      const auto wait_twice = [&](int i) {
        wait_once(i);
        wait_once(i);
      };
      crowd.add_fibers(40, wait_twice);
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 40));
      crowd.add_threads(threads, wait_once);
      std::this_thread::sleep_for(threads == 0 ? 0ms : 5ms);
      notify.notify_all();
      REQUIRE(comes_true([&] { return woken.load() >= 40; }));
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 40));
      REQUIRE(woken.load() <= 40 + threads);
      // A thread that comes late takes one.
      for (int i = 0; i < 40 + threads; ++i) notify.notify_one();
      REQUIRE(comes_true([&] {
        if (woken.load() == 80 + threads) return true;
        notify.notify_one();
        return false;
      }));
      crowd.join();
    }
  });
}

TEST_CASE("Notify: a wait that ends by cancel passes its notification on", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 100; ++round) {
      Notify notify;
      auto first = ramie::spawn([&] { return notify.wait(); });
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 1));
      auto second = ramie::spawn([&] { return notify.wait(); });
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 2));
      std::thread canceller([&] { first.cancel(); });
      notify.notify_one();
      canceller.join();
      const bool first_got_it = first.join().has_value();
      if (first_got_it) notify.notify_one();
      REQUIRE(second.join());
      REQUIRE_FALSE(is_stored(runtime, notify));
    }
  });
}

TEST_CASE("Notify: a notification that only cancelled waiters could have had is stored", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 100; ++round) {
      Notify notify;
      auto only = ramie::spawn([&] { return notify.wait(); });
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 1));
      std::thread canceller([&] { only.cancel(); });
      notify.notify_one();
      canceller.join();
      const bool is_served = only.join().has_value();
      REQUIRE(is_served != is_stored(runtime, notify));
    }
  });
}

TEST_CASE("Notify: a hidden cancel loses neither notify_one nor notify_all", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 100; ++round) {
      Notify notify;
      auto fiber = ramie::spawn([&] {
        const ramie::Shield shield;
        return notify.wait();
      });
      REQUIRE(park_comes_true(runtime, WaitKind::notify, 1));
      std::thread canceller([&] { fiber.cancel(); });
      if (round % 2 == 0) notify.notify_one();
      else notify.notify_all();
      canceller.join();
      REQUIRE(fiber.join());
      REQUIRE_FALSE(is_stored(runtime, notify));
    }
  });
}

TEST_CASE("Notify: what was done before notify_one is seen after wait", "[sync]") {
  // Ping-pong over plain data. The race detector decides.
  with_workers([](MiniRuntime&) {
    Notify ping;
    Notify pong;
    long data = 0;
    auto fiber = ramie::spawn([&] {
      for (int i = 0; i < 1000; ++i) {
        (void)ping.wait();
        ++data;
        pong.notify_one();
      }
    });
    for (int i = 0; i < 1000; ++i) {
      ++data;
      ping.notify_one();
      REQUIRE(pong.wait());
    }
    (void)fiber.join();
    REQUIRE(data == 2000);
  });
}

// Goal: whoever gets the notification may destroy the object, also a waiter that finds it stored
// because the waiter that it was meant for has just been cancelled.
// Method: one waiter with a deadline that has passed and one that comes late; ASan sees a late
// touch.
TEST_CASE("Notify: who is notified may destroy it", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 300; ++round) {
      auto notify = std::make_unique<Notify>();
      Notify* object = notify.get();
      auto hasty = ramie::spawn(
          [object, round] { return ramie::timeout(round * 1us, [&] { return object->wait(); }); });
      auto notifier = ramie::spawn([object] { object->notify_one(); });
      if (!hasty.join()) REQUIRE(ramie::spawn([object] { return object->wait(); }).join());
      notify.reset();
      REQUIRE(notifier.join());
    }
  });
}
