// Goal: F9: a reader of a parked fiber's stack reads a consistent stack, whatever wakes the fiber
// meanwhile. Afterwards the fiber runs on, once.
// Method: the shipped FiberWord. The fiber writes `stack` while it runs, and the reader reads it.
// run_one() puts a held fiber back into its queue.
#include "sched/fiber_word.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::sched::FiberWord;

TEST_CASE("FiberWord model: a parked fiber's stack is read while nobody runs it") {
  check_model("fiber word: held for a dump", [] {
    FiberWord word;
    Cell<int> stack{0};
    Event queue;
    Atomic<int> runs{0};
    word.reset();
    stack = 1;
    const auto wait = word.arm(FiberWord::Shield::no);
    Thread waker([&] {
      if (word.claim(wait.epoch, 1) == FiberWord::Claim::won_and_queue) queue.signal();
    });
    Thread reader([&] {
      if (!word.try_hold()) return;
      const int seen = stack;
      check(seen == 2, "not the stack of a parked fiber");
      word.let_go();
    });
    stack = 2;  // it runs until the switch
    if (word.commit() == FiberWord::Commit::queue) queue.signal();
    queue.wait();
    while (word.is_held()) yield();
    stack = 3;
    runs.fetch_add(1, Order::relaxed);
    waker.join();
    reader.join();
    check(runs.load() == 1 && !word.is_held(), "held for ever");
  }, Mutants{17, 18, 15, 16}, {.preemptions = -1});
}
