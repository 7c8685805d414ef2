// Goal: no notification is lost, whatever a cancel does. The fiber that gets one may destroy the
// Notify at once, although the notifier has not returned yet.
// Method: the shipped Notify with the shipped waiting protocol.
#include "tests/model/stage.hpp"

#include <ramie/sync/notify.hpp>

#include <catch2/catch.hpp>

#include <optional>

using namespace ramie::model;
using ramie::sync::Notify;

TEST_CASE("Notify model: a notified waiter may destroy it, also after a cancelled wait") {
  check_model("notify: the last touch", [] {
    std::optional<Notify> notify(std::in_place);
    FiberThread waiter([&] {
      if (!notify->wait()) {
        const ramie::Shield shield;
        check(notify->wait().has_value(), "a shielded wait was ended");
      }
      notify.reset();
    });
    Thread notifier([&] { notify->notify_one(); });
    waiter.cancel();
  }, Mutants{111, 112, 101, 12});
}

TEST_CASE("Notify model: a notification is the first waiter's, or the next one's if a cancel won") {
  check_model("notify: two waiters", [] {
    Notify notify;
    Cell<int> data{0};
    bool first_was_served = false;
    FiberThread hasty([&] { first_was_served = notify.wait().has_value(); });
    hasty.until_waits();
    FiberThread patient([&] {
      check(notify.wait().has_value(), "nobody cancels that");
      check(data == 7, "the notification does not publish what came before");
    });
    Thread canceller([&] { hasty.cancel(); });
    data = 7;
    notify.notify_one();
    hasty.join();
    if (first_was_served) notify.notify_one();
    patient.join();
  }, Mutants{104, 112, 113, 116, 114}, {.preemptions = 2});
}

TEST_CASE("Notify model: notify_all() reaches a shielded fiber that a cancel has just ended") {
  check_model("notify: all", [] {
    Notify notify;
    FiberThread fiber([&] {
      const ramie::Shield shield;
      check(notify.wait().has_value(), "a shielded wait was ended");
    });
    fiber.until_waits();
    Thread canceller([&] { fiber.cancel(); });
    notify.notify_all();
  }, Mutants{115}, {.spurious = true});
}

TEST_CASE("Notify model: a plain thread sleeps until its waker, the lock dropped, starts it") {
  check_model("notify: a thread", [] {
    std::optional<Notify> notify(std::in_place);
    Cell<int> data{0};
    Thread waiter([&] {
      const PlainThread me;
      check(notify->wait().has_value(), "nothing ends the wait of a thread");
      check(data == 7, "the notification does not publish what came before");
      notify.reset();
    });
    data = 7;
    notify->notify_one();
  }, Mutants{113, 116, 106, 181, 191}, {.spurious = true});
}
