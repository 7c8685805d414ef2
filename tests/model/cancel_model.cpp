// Goal: a cancel ends every wait inside its scope, now and later, and none outside; the tree of
// tokens may be cancelled, grown and dropped at the same time.
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
  }, {{203, "a scope is linked to a token that was cancelled already"},
      {3, "arm does not look at the cancel bits"}}, {.preemptions = 2, .spurious = true});
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
  }, {{201, "a scope is marked after the hint is set"},
      {202, "refresh looks at the scopes before it clears the hint"}},
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
  }, {{205, "the end of a shield does not look at what it hid"}}, {.preemptions = 2});
}

TEST_CASE("Cancel model: who is woken by a token may drop its last copy") {
  check_model("cancel: the last token", [] {
    std::optional<CancellationToken> token(std::in_place);
    FiberThread waiter([&] {
      if (choose(2) == 0) check(token->wait().has_value(), "nobody cancels the waiter itself");
      while (!token->is_canceled()) yield();
      token.reset();
    });
    token->cancel();
  }, {{206, "cancel() keeps no reference"}}, {.preemptions = 2, .spurious = true});
}

TEST_CASE("Cancel model: who waits for a token learns of its cancel, or of his own") {
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
  }, {{210, "a cancel does not wake those who wait for it"}}, {.preemptions = 2});
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
  }, {{207, "a child that is being dropped is retained"},
      {208, "a child of a cancelled token is not cancelled"},
      {209, "the last reference is dropped with a relaxed exchange"},
      {520, "a token that is dropped stays in its parent's list"},
      {521, "a cancel keeps its references to children"}},
     {.preemptions = 2, .spurious = true});
}
