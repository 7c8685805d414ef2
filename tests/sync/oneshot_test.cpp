// Laws of sync::oneshot.
#include "tests/sync/counted.hpp"
#include "tests/sync/support.hpp"

using namespace ramie_test;
namespace oneshot = ramie::sync::oneshot;
using ramie::errc;
using ramie::sched::WaitKind;

TEST_CASE("oneshot: the value arrives, whoever comes first", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const bool sender_first : {true, false}) {
      auto [sender, receiver] = oneshot::channel<Counted>();
      if (sender_first) REQUIRE(sender.send(Counted(7)));
      auto receiving = ramie::spawn([&] { return receiver.recv(); });
      if (!sender_first) {
        REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
        REQUIRE(sender.send(Counted(7)));
      }
      auto value = receiving.join();
      REQUIRE(value);
      REQUIRE(value->value() == 7);
      REQUIRE(code_of(receiver.recv()) == errc::spent);
      REQUIRE(code_of(receiver.try_recv()) == errc::spent);
      Counted again(8);
      REQUIRE(code_of(sender.send(std::move(again))) == errc::spent);
      REQUIRE(again.value() == 8);
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("oneshot: a sender that goes wakes the receiver with `closed`", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = oneshot::channel<int>();
    REQUIRE(code_of(receiver.try_recv()) == errc::empty);
    auto receiving = ramie::spawn([&] { return receiver.recv(); });
    REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
    sender = {};
    REQUIRE(code_of(receiving.join()) == errc::closed);
    REQUIRE(code_of(receiver.try_recv()) == errc::closed);
  });
}

TEST_CASE("oneshot: without a receiver the value stays with the sender", "[sync]") {
  auto [sender, receiver] = oneshot::channel<Counted>();
  receiver = {};
  REQUIRE(sender.is_closed());
  REQUIRE(sender.closed());
  Counted value(3);
  REQUIRE(code_of(sender.send(std::move(value))) == errc::closed);
  REQUIRE(value.value() == 3);
}

TEST_CASE("oneshot: a value sent before close() is received", "[sync]") {
  auto [sender, receiver] = oneshot::channel<int>();
  REQUIRE(sender.send(1));
  receiver.close();
  REQUIRE(*receiver.recv() == 1);
  auto [late, closed] = oneshot::channel<int>();
  closed.close();
  REQUIRE(code_of(late.send(1)) == errc::closed);
  REQUIRE(code_of(closed.recv()) == errc::closed);
  REQUIRE(code_of(closed.try_recv()) == errc::closed);
}

TEST_CASE("oneshot: closed() waits until nobody wants the value", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const bool by_drop : {true, false}) {
      auto [sender, receiver] = oneshot::channel<int>();
      auto waiting = ramie::spawn([&] { return sender.closed(); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
      if (by_drop) receiver = {};
      else receiver.close();
      REQUIRE(waiting.join());
      REQUIRE(code_of(sender.send(1)) == errc::closed);
    }
  });
}

TEST_CASE("oneshot: a cancelled recv() loses nothing", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 100; ++round) {
      auto [sender, receiver] = oneshot::channel<Counted>();
      auto receiving = ramie::spawn([&] { return receiver.recv(); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
      std::thread canceller([&] { receiving.cancel(); });
      REQUIRE(sender.send(Counted(round)));
      canceller.join();
      auto value = receiving.join();
      if (!value) value = receiver.recv();
      REQUIRE(value);
      REQUIRE(value->value() == round);
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("oneshot: deadlines end recv() and closed()", "[sync]") {
  MiniRuntime runtime(1);
  auto [sender, receiver] = oneshot::channel<int>();
  auto receiving =
      ramie::spawn([&] { return ramie::timeout(2ms, [&] { return receiver.recv(); }); });
  auto waiting = ramie::spawn([&] { return ramie::timeout(2ms, [&] { return sender.closed(); }); });
  REQUIRE(code_of(receiving.join()) == errc::timed_out);
  REQUIRE(code_of(waiting.join()) == errc::timed_out);
  REQUIRE(sender.send(5));
  REQUIRE(*receiver.recv() == 5);
}

TEST_CASE("oneshot: both ends going at once leave exactly one owner of the value", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 500; ++round) {
      auto [sender, receiver] = oneshot::channel<Counted>();
      auto dropping = ramie::spawn([mine = std::move(receiver)]() mutable {
        (void)mine.try_recv();
        mine = {};
      });
      Counted value(1);
      const bool is_sent = sender.send(std::move(value)).has_value();
      REQUIRE(is_sent == (value.value() == -1));
      (void)dropping.join();
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("oneshot: requests and answers between fibers and threads", "[sync]") {
  with_workers([](MiniRuntime&) {
    Crowd crowd;
    std::atomic<int> right{0};
    const auto body = [&](int id) {
      for (int i = 0; i < 100; ++i) {
        auto [sender, receiver] = oneshot::channel<int>();
        auto answering = [mine = std::move(sender), i]() mutable { (void)mine.send(i); };
        if (id % 2 == 0 && ramie::current::is_fiber()) {
          ramie::spawn(std::move(answering)).detach();
        } else {
          answering();
        }
        if (receiver.recv() == i) right.fetch_add(1);
      }
    };
    crowd.add_fibers(6, body);
    crowd.add_threads(2, body);
    crowd.join();
    REQUIRE(right.load() == 800);
  });
}
