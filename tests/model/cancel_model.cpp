// Goal: a cancel ends every wait inside its scope, present and future, and none outside. The tree
// of tokens may be cancelled, grown and dropped at the same time.
// Method: the shipped cancel scopes and tokens with the shipped waiting protocol.
#include "tests/model/stage.hpp"

#include <ramie/cancel.hpp>
#include <ramie/sync/notify.hpp>

#include <catch2/catch.hpp>

#include <optional>
#include <utility>

using namespace ramie::model;
using ramie::CancellationToken;
using ramie::sync::Notify;

TEST_CASE("Cancel model: a token ends the wait inside until(), and none after it") {
  check_model("cancel: until", [] {
    CancellationToken token;
    Notify never, later;
    FiberThread fiber([&] {
      const auto ended = ramie::until(token, [&] { return never.wait(); });
      check(!ended && ended.error() == ramie::errc::canceled, "a wait inside was not ended");
      check(later.wait().has_value(), "a wait outside was ended");
    });
    Thread canceller([&] { token.cancel(); });
    later.notify_one();
  }, Mutants{203, 3}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Cancel model: what ends the inner scope does not hide that the outer one has ended") {
  check_model("cancel: nested scopes", [] {
    CancellationToken outer, inner;
    Notify never;
    FiberThread fiber([&] {
      const auto ended = ramie::until(outer, [&] {
        (void)ramie::until(inner, [&] { return never.wait(); });
        return never.wait();
      });
      check(!ended && ended.error() == ramie::errc::canceled, "the outer wait was not ended");
    });
    Thread one([&] { inner.cancel(); });
    outer.cancel();
  }, Mutants{201, 202},
     {.preemptions = 2, .spurious = true});
}

TEST_CASE("Cancel model: a shield hides a cancel while it lives, and not a moment longer") {
  check_model("cancel: shield", [] {
    CancellationToken token;
    Notify notify, never;
    FiberThread fiber([&] {
      const auto ended = ramie::until(token, [&] {
        {
          const ramie::Shield shield;
          check(notify.wait().has_value(), "a shielded wait was ended");
        }
        return never.wait();
      });
      check(!ended, "the cancel was forgotten");
    });
    Thread canceller([&] { token.cancel(); });
    notify.notify_one();
  }, Mutants{205}, {.preemptions = 2});
}

TEST_CASE("Cancel model: a waiter that a token woke may drop its last copy") {
  check_model("cancel: the last token", [] {
    std::optional<CancellationToken> token(std::in_place);
    FiberThread waiter([&] {
      if (choose(2) == 0) check(token->wait().has_value(), "nobody cancels the waiter itself");
      while (!token->is_canceled()) yield();
      token.reset();
    });
    token->cancel();
  }, Mutants{206}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Cancel model: a waiter learns of the cancel of its token, or of its own") {
  check_model("cancel: wait for a token", [] {
    CancellationToken token;
    Cell<int> data{0};
    FiberThread hasty([&] { (void)token.wait(); });
    FiberThread patient([&] {
      check(token.wait().has_value(), "nobody cancels the waiter itself");
      check(data == 7, "the cancel does not publish what came before");
    });
    Thread canceller([&] { hasty.cancel(); });
    data = 7;
    token.cancel();
  }, Mutants{210}, {.preemptions = 2});
}

TEST_CASE("Cancel model: a tree of tokens is cancelled while it grows and is dropped") {
  check_model("cancel: the tree", [] {
    std::optional<CancellationToken> root(std::in_place);
    auto dropped = std::make_optional(root->child());
    auto kept = std::make_optional(root->child());
    Thread dropper([&] { dropped.reset(); });
    Thread grower([&] {
      const CancellationToken late = kept->child();
      kept.reset();
      while (!late.is_canceled()) yield();
    });
    root->cancel();
    root.reset();
  }, Mutants{207, 208, 209, 520, 521},
     {.preemptions = 2, .spurious = true});
}
