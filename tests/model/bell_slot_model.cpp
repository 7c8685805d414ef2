// Goal: S1 and S4. A signal is heard by the runtime that hangs its bell meanwhile, and no handler
// rings a bell that was closed.
// Method: the shipped BellSlot. The handler is a thread of its own, which is more than a signal can
// do; `pending` has the orders of on_signal(), take() and Bell::create().
#include "signal/bell_slot.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::signal::handlers::BellSlot;

TEST_CASE("BellSlot model: a signal is heard, however late the bell is hung") {
  check_model("bell slot: hang against ring", [] {
    BellSlot slot;
    Atomic<int> pending{0}, rung{0};
    Thread handler([&] {
      pending.fetch_or(1, Order::seq_cst);
      slot.ring([&](int) { rung.store(1, Order::relaxed); });
    });
    slot.hang(0);
    const bool is_pending = pending.load(Order::seq_cst) != 0;
    handler.join();
    check(is_pending || rung.load(Order::relaxed) != 0, "nobody hears the signal");
  }, Mutants{522, 523}, {.preemptions = -1});
}

TEST_CASE("BellSlot model: no handler rings a bell that was closed") {
  check_model("bell slot: take down against ring", [] {
    BellSlot slot;
    Cell<bool> is_open{true};
    slot.hang(0);
    Thread handler([&] {
      slot.ring([&](int) { check(is_open, "the bell was closed"); });
    });
    check(slot.take_down(0), "the bell hung");
    while (slot.is_in_use()) yield();
    is_open = false;  // a race with a handler that reads it is found, too
    handler.join();
  }, Mutants{524, 525, 526, 527}, {.preemptions = -1});
}
