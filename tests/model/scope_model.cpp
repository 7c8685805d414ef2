// Goal: a Scope ends after its children and sees everything that they did. No child uses it after
// that. A cancel reaches every child, also one that is being started.
// Method: the shipped Scope, whose children are shipped tasks.
#include "tests/model/stage.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>
#include <ramie/sync/notify.hpp>

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace ramie::model;
using ramie::Scope;
using ramie::sync::Notify;

TEST_CASE("Scope model: it ends after its children, which leave it alone then") {
  check_model("scope: join", [] {
    Stage stage;
    Cell<int> work{0};
    FiberThread owner([&] {
      {
        Scope scope;
        check(scope.spawn([&] { work = work + 1; }).has_value(), "nothing ends");
      }
      check(work == 1, "the scope ended before its child");
    });
    owner.join();
  }, Mutants{221, 222}, {.preemptions = 3, .spurious = true});
}

TEST_CASE("Scope model: a cancel reaches the children that are there and the one that comes") {
  check_model("scope: cancel", [] {
    Stage stage;
    Notify never;
    Scope scope;
    Thread canceller([&] { scope.cancel(); });
    (void)scope.spawn([&] { check(!never.wait(), "nobody notifies"); });
    canceller.join();
  }, Mutants{224, 225}, {.preemptions = 2});
}

TEST_CASE("Scope model: a cancelled owner cancels its children, and still waits for them") {
  check_model("scope: a cancelled owner", [] {
    Stage stage;
    Notify never;
    Cell<int> work{0};
    FiberThread owner([&] {
      {
        Scope scope;
        (void)scope.spawn([&] {
          check(!never.wait(), "nobody notifies");
          work = work + 1;
        });
      }
      check(work <= 1, "the scope ended before its child");
    });
    owner.cancel();
    owner.join();
  }, Mutants{227}, {.preemptions = 2});
}

TEST_CASE("Scope model: an exception of one child cancels the other and comes out of join()") {
  check_model("scope: failure", [] {
    Stage stage;
    Notify never;
    Scope scope;
    (void)scope.spawn([&] { check(!never.wait(), "nobody notifies"); });
    (void)scope.spawn([] { throw std::runtime_error("a child"); });
    bool has_thrown = false;
    try {
      (void)scope.join();
    } catch (const std::runtime_error&) {
      has_thrown = true;
    }
    check(has_thrown, "the exception was lost");
  }, Mutants{226}, {.preemptions = 2});
}
