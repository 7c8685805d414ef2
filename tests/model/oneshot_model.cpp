// Goal: the value arrives once or comes back, nobody waits for ever, and the last of the two halves
// destroys what they share.
// Method: the shipped oneshot channel. The value is a parcel: the run fails if it is lost, opened
// early or destroyed twice.
#include "tests/model/parcel.hpp"
#include "tests/model/stage.hpp"

#include <ramie/sync/oneshot.hpp>

#include <catch2/catch.hpp>

#include <utility>

using namespace ramie::model;
namespace oneshot = ramie::sync::oneshot;

TEST_CASE("Oneshot model: the value arrives, also after a wait that a cancel has ended") {
  check_model("oneshot: send", [] {
    auto [sender, receiver] = oneshot::channel<Parcel>();
    FiberThread reader([&, mine = &receiver] {
      auto parcel = mine->recv();
      if (!parcel && parcel.error() == ramie::errc::canceled) {
        const ramie::Shield shield;
        parcel = mine->recv();
      }
      check(parcel.has_value() && parcel->open() == 7, "the value did not arrive");
      *mine = {};
    });
    Thread canceller([&] { reader.cancel(); });
    check(sender.send(Parcel(7)).has_value(), "nobody closed it");
  }, Mutants{152, 153, 155, 158},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Oneshot model: a value is refused, or it can be received after the close") {
  check_model("oneshot: close", [] {
    auto [sender, receiver] = oneshot::channel<Parcel>();
    bool was_sent = false;
    FiberThread writer([&, mine = &sender] {
      Parcel parcel(7);
      was_sent = mine->send(std::move(parcel)).has_value();
      check(was_sent || parcel.open() == 7, "a refused value was touched");
    });
    FiberThread reader([&, mine = &receiver] {
      mine->close();
      const auto parcel = mine->recv();
      writer.join();
      check(parcel.has_value() == was_sent, "sent and lost, or refused and received");
    });
  }, Mutants{151, 156}, {.spurious = true});
}

TEST_CASE("Oneshot model: the sender learns that nobody wants the value") {
  check_model("oneshot: closed", [] {
    auto [sender, receiver] = oneshot::channel<Parcel>();
    FiberThread writer([&, mine = &sender] {
      const ramie::Shield shield;
      check(mine->closed().has_value(), "a shielded wait was ended");
      check(!mine->send(Parcel(7)), "nobody receives it");
    });
    FiberThread reader([&, mine = &receiver] { *mine = {}; });
    writer.cancel();
  }, Mutants{157}, {.preemptions = 2, .spurious = true});
}
