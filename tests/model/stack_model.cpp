// Goal: no stack is given out twice or lost between the caches and the depot. The count of used
// stacks is right when no call is in progress.
// Method: the shipped StackPool and StackCache (which holds two in the checker), on real memory.
#include "tests/model/model.hpp"

#include "sched/stack.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>

using namespace ramie::model;
using ramie::sched::GuardMethod;
using ramie::sched::Stack;
using ramie::sched::StackCache;
using ramie::sched::StackPool;

namespace {

constexpr ramie::sched::StackOptions kOptions{
    .size = 16 * 1024, .guard = GuardMethod::off, .cache_bytes = 1};

constexpr int kEach = 3;  // stacks that a worker has at a time

// The thread that holds a stack owns this place.
struct Owners {
  const void* low[2 * kEach + 1] = {};
  Cell<int> places[2 * kEach];

  void own(Stack& stack) {
    int i = 0;
    while (low[i] != nullptr && low[i] != stack.low()) ++i;
    check(i < 2 * kEach, "a stack was lost");
    low[i] = stack.low();
    places[i] = places[i] + 1;
    check(places[i] == 1, "a stack is handed out twice");
  }
  void give_up(Stack& stack) {
    int i = 0;
    while (low[i] != stack.low()) ++i;
    places[i] = 0;
  }
};

}  // namespace

TEST_CASE("Stack model: stacks travel between two workers' caches through the depot") {
  check_model("stack: caches and depot", [] {
    StackPool pool(kOptions);
    Owners owners;
    const auto work = [&] {
      StackCache cache(pool);
      int error = 0;
      std::array<Stack*, kEach> stacks{};
      for (Stack*& stack : stacks) {
        stack = cache.take(0, error);
        check(stack != nullptr, "no stack");
        owners.own(*stack);
      }
      for (Stack* stack : stacks) {
        owners.give_up(*stack);
        cache.give_back(stack);
      }
    };
    Thread one(work);
    work();
    work();
    one.join();
    check(pool.taken() == 0, "the count of those in use is wrong");
  }, Mutants{311, 312, 313}, {.preemptions = 2});
}
