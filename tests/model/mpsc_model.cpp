// Goal: every value that was sent arrives once, in order. A full channel admits its senders first
// come, first served. Cancel, close and drop lose no value, no permit and no waiter.
// Method: the shipped mpsc channel, whose values are parcels.
#include "tests/model/parcel.hpp"
#include "tests/model/stage.hpp"

#include <ramie/sync/mpsc.hpp>

#include <catch2/catch.hpp>

#include <optional>
#include <utility>

using namespace ramie::model;
namespace mpsc = ramie::sync::mpsc;

namespace {

int open_next(mpsc::Receiver<Parcel>& receiver) {
  const auto parcel = receiver.recv();
  return parcel ? parcel->open() : 0;
}

}  // namespace

TEST_CASE("Mpsc model: two senders, room for one, and the end when both are gone") {
  check_model("mpsc: send and receive", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    FiberThread writer([&, mine = &sender] {
      check(mine->send(Parcel(1)).has_value(), "nobody closes it");
      check(mine->send(Parcel(2)).has_value(), "nobody closes it");
      *mine = {};
    });
    const PlainThread me;
    check(open_next(receiver) == 1, "the first value comes first");
    check(open_next(receiver) == 2, "then the second one");
    check(open_next(receiver) == 0, "then the end");
  }, Mutants{161, 163, 167, 168}, {.preemptions = 1});
}

TEST_CASE("Mpsc model: values of three senders come once, each sender's in order") {
  check_model("mpsc: three senders", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(2);
    const auto send_two = [&sender](int value) {
      mpsc::Sender<Parcel> mine = sender;
      check(mine.send(Parcel(value)).has_value(), "nobody closes it");
      check(mine.send(Parcel(value + 1)).has_value(), "nobody closes it");
    };
    FiberThread one([&] { send_two(10); }), two([&] { send_two(20); });
    FiberThread three([&] { send_two(30); });
    const PlainThread me;
    int seen[4] = {};
    for (int i = 0; i < 6; ++i) {
      const int value = open_next(receiver);
      check(seen[value / 10]++ == value % 10, "a value was lost, came twice or too early");
    }
  }, Mutants{161, 163, 168}, {.mode = Mode::random});
}

TEST_CASE("Mpsc model: senders in line are let in first come, first served, past a cancelled one") {
  check_model("mpsc: the line", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    check(sender.try_send(Parcel(1)).has_value(), "there is room");
    bool hasty_sent = false;
    FiberThread hasty([&] { hasty_sent = sender.send(Parcel(2)).has_value(); });
    hasty.until_waits();
    FiberThread patient([&] { check(sender.send(Parcel(3)).has_value(), "nobody cancels that"); });
    patient.until_waits();
    Thread canceller([&] { hasty.cancel(); });
    const PlainThread me;
    check(open_next(receiver) == 1, "the first value comes first");
    const int second = open_next(receiver);
    hasty.join();
    check(second == (hasty_sent ? 2 : 3), "the line was not kept");
    if (hasty_sent) check(open_next(receiver) == 3, "the line was not kept");
  }, Mutants{104, 164}, {.mode = Mode::pct});
}

TEST_CASE("Mpsc model: nobody overtakes a sender that waits") {
  check_model("mpsc: no overtaking", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    check(sender.try_send(Parcel(1)).has_value(), "there is room");
    FiberThread patient([&] { check(sender.send(Parcel(2)).has_value(), "nobody cancels that"); });
    patient.until_waits();
    Thread thief([&] { (void)sender.try_send(Parcel(3)); });
    const PlainThread me;
    check(open_next(receiver) == 1, "the first value comes first");
    check(open_next(receiver) == 2, "a newcomer overtook the line");
  }, Mutants{162}, {.preemptions = 1});
}

TEST_CASE("Mpsc model: a permit that is given back, or used, lets the next one in") {
  check_model("mpsc: permits", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    auto permit = *sender.try_reserve();
    FiberThread waiter([&] { check(sender.send(Parcel(2)).has_value(), "nobody closes it"); });
    const PlainThread me;
    { const auto gone = std::move(permit); }
    check(open_next(receiver) == 2, "the value did not arrive");
  }, Mutants{165}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Mpsc model: a close ends the waits of senders, though nothing is received") {
  check_model("mpsc: close", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    check(sender.try_send(Parcel(1)).has_value(), "there is room");
    FiberThread waiter([&] {
      const ramie::Shield shield;
      check(!sender.send(Parcel(2)), "there is no room");
    });
    Thread canceller([&] { waiter.cancel(); });
    receiver.close();
  }, Mutants{166}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Mpsc model: what has a permit still arrives after a close") {
  check_model("mpsc: close against a permit", [] {
    auto [sender, receiver] = mpsc::channel<Parcel>(1);
    bool was_sent = false;
    auto permit = *sender.try_reserve();
    FiberThread holder([&] {
      check(permit.send(Parcel(1)).has_value(), "the receiver is there");
    });
    FiberThread waiter([&] { was_sent = sender.send(Parcel(2)).has_value(); });
    const PlainThread me;
    receiver.close();
    check(open_next(receiver) == 1, "a value with a permit was lost");
    waiter.join();
    check((open_next(receiver) == 2) == was_sent, "sent and lost, or refused and received");
  }, Mutants{169}, {.preemptions = 1});
}

TEST_CASE("Mpsc model: the receiver goes: senders learn of it, and no value is left behind") {
  check_model("mpsc: drop", [] {
    std::optional<mpsc::Receiver<Parcel>> mine;
    {
      auto [sender, receiver] = mpsc::channel<Parcel>(2);
      mine.emplace(std::move(receiver));
      FiberThread one([&] { (void)sender.send(Parcel(1)); });
      FiberThread two([&] {
        const ramie::Shield shield;
        check(sender.closed().has_value(), "a shielded wait was ended");
        check(!sender.send(Parcel(2)), "nobody receives it");
      });
      const PlainThread me;
      mine.reset();
    }
  }, Mutants{170, 171}, {.preemptions = 2, .spurious = true});
}
