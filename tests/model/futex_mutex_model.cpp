// Goal: the lowest mutex admits one owner at a time, publishes what the owner did, and loses no
// wake-up. The next owner may destroy it at once.
// Method: the shipped FutexMutex on the checker's futex, which may wake up spuriously.
#include "sched/base/futex_mutex.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <optional>

using ramie::base::FutexMutex;
using ramie::model::Cell;
using ramie::model::check;
using ramie::model::check_model;
using ramie::model::Mutants;
using ramie::model::Thread;

TEST_CASE("FutexMutex model: one owner at a time, and no unlock leaves a sleeper behind") {
  check_model("futex mutex: exclusion", [] {
    FutexMutex mutex;
    Cell<int> inside{0};
    const auto enter = [&] {
      mutex.lock();
      inside = inside + 1;
      mutex.unlock();
    };
    {
      Thread one(enter), two(enter);
      enter();
    }
    check(inside == 3, "somebody did not come in");
    check(mutex.try_lock(), "it stays locked");
  }, Mutants{341, 343, 344, 345},
     {.preemptions = 3, .spurious = true});
}

TEST_CASE("FutexMutex model: the next owner may destroy it") {
  check_model("futex mutex: the last touch", [] {
    std::optional<FutexMutex> mutex(std::in_place);
    mutex->lock();
    Thread next([&] {
      mutex->lock();
      mutex->unlock();
      mutex.reset();
    });
    mutex->unlock();
  }, Mutants{342},
     {.preemptions = -1, .spurious = true});
}
