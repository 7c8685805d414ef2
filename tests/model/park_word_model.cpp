// Goal: P2, an early unpark is never lost, wherever the worker sleeps. What was published before
// the unpark is seen after the park.
// Method: the shipped ParkWord, with a futex, a ring and an epoll to sleep on. Unparks race parks.
#include "sched/park_word.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;
using ramie::sched::ParkWord;

namespace {

// What Worker::sleep_* and Worker::unpark do.
struct Bed {
  static constexpr std::uint32_t kShard = 5;

  ParkWord word;
  Event ring, epoll;

  // Returns true if an unpark ended it or came before.
  bool sleep(ParkWord::Place place) {
    if (!word.enter(place, place == ParkWord::kEpoll ? kShard : 0)) return true;
    if (place == ParkWord::kFutex) futex_wait(word.raw(), ParkWord::kFutex);
    if (place == ParkWord::kRing) ring.wait();
    if (place == ParkWord::kEpoll) epoll.wait();
    return word.leave();
  }

  void unpark() {
    const ParkWord::Was was = word.unpark();
    switch (was.place) {
      case ParkWord::kEmpty:
      case ParkWord::kNotified: return;
      case ParkWord::kFutex: (void)futex_wake(word.raw(), 1); return;
      case ParkWord::kRing: return ring.signal();
      case ParkWord::kEpoll:
        check(was.shard == kShard, "the wrong shard is told");
        return epoll.signal();
    }
    check(false, "a place that does not exist");
  }
};

constexpr ParkWord::Place kPlaces[] = {ParkWord::kFutex, ParkWord::kRing, ParkWord::kEpoll};

}  // namespace

TEST_CASE("ParkWord model: an early unpark is never lost, and carries what was written before it") {
  check_model("park word: one unpark", [] {
    Bed bed;
    Cell<int> data{0};
    Thread worker([&] {
      const ParkWord::Place place = kPlaces[choose(3)];
      while (!bed.sleep(place)) {
      }
      check(data == 1, "the write before the unpark is not seen");
    });
    data = 1;
    bed.unpark();
  }, Mutants{71, 73, 74, 75}, {.preemptions = -1});
}

TEST_CASE("ParkWord model: unparks of two producers coalesce, and none is lost") {
  check_model("park word: two producers", [] {
    Bed bed;
    Atomic<int> work{0};
    const auto produce = [&] {
      work.fetch_add(1, Order::relaxed);
      bed.unpark();
    };
    Thread worker([&] {
      int place = 0;
      while (work.load(Order::relaxed) < 2) (void)bed.sleep(kPlaces[place++ % 3]);
    });
    Thread other(produce);
    produce();
  }, Mutants{71, 72, 73}, {.preemptions = 3});
}

TEST_CASE("ParkWord model: spurious wake-ups and time-outs lose no unpark") {
  check_model("park word: spurious", [] {
    Bed bed;
    Cell<int> data{0};
    Thread worker([&] {
      bool is_notified = false;
      for (int i = 0; i < 2 && !is_notified; ++i) {
        is_notified = !bed.word.enter(ParkWord::kFutex);
        if (is_notified) break;
        (void)futex_wait_for(bed.word.raw(), ParkWord::kFutex);
        is_notified = bed.word.leave();
      }
      while (!is_notified) is_notified = bed.sleep(ParkWord::kFutex);
      check(data == 1, "the write before the unpark is not seen");
    });
    data = 1;
    bed.unpark();
  }, Mutants{71, 74},
     {.preemptions = 3, .spurious = true});
}
