// Goal: P1, P3 and P4 together: no element waits while all workers sleep, one worker drives the
// shard, and a worker stuck in one fiber leaves neither sockets nor sleepers unattended. P5: nor
// the operations in its site.
// Method: the shipped IdleSet, Baton and ParkWord, combined as in worker_sleep.cpp.
//
//     submit     push, fence, choose a sleeper unless a worker searches, unpark it
//     worker     take; search; announce, stop searching, fence, look again, sleep, retract
//     sleep      in the driver with the baton, else on the futex; bounded for the watcher
//     operate    count the operation, look whether a worker watches
#include "sched/idle.hpp"
#include "sched/park_word.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <utility>

using namespace ramie::model;
using ramie::sched::Baton;
using ramie::sched::IdleSet;
using ramie::sched::ParkWord;

namespace {

// Mutants of the protocol. Those of the parts are in tables.
enum : int {
  kNoSubmitFence = 31,
  kNoParkFence = 32,
  kNoSecondLook = 33,
  kSearchOn = 34,
  kLastSearcherIsSilent = 35,
  kNoBatonRetry = 36,
  kHandOverIsSilent = 37,
  kNobodyWatches = 38,
  kWatchKept = 39,
  kFoundAtLastIsSilent = 40,
  kWatcherNeverDrives = 41,
  kClosesTooLate = 42,
  kStartIsSilent = 480,
  kComesOutSilently = 481,
  kSitesAreForgotten = 482,
  kVisitsNobody = 483,
};

constexpr int kEvents = 2;

struct Crew {
  explicit Crew(std::size_t count) : workers(count), idle(count) {}

  struct Member {
    ParkWord word;
    bool is_searching = false;
    bool is_watcher = false;
    bool watch_ran_out = false;
    bool was_idle = false;
    int seen_activity = 0;
    Atomic<int> pinned{0};   // its inbox
    Atomic<int> in_site{0};  // operations in its site; they complete when a worker looks
  };

  const std::size_t workers;
  bool gives_up = false;  // watched long without result: now watches only for a site
  IdleSet idle;
  Member members[3];
  Baton baton;
  Cell<int> driver{0};  // the worker that drives the shard writes it: P1
  Event epoll;
  Atomic<int> work{0};
  Atomic<bool> is_closing{false};
  Atomic<int> ready{0};   // socket events in the kernel that were not polled yet
  Atomic<int> polled{0};  // socket events that were polled
  Event all_polled;
  Event visited;
  // Invisible to the checker: they order nothing.
  int watchers = 0;
  int steps[3] = {};  // the published ticks

  // --- any thread

  void submit() {
    work.fetch_add(1, Order::release);
    notify_one();
  }

  void notify_one() {
    if (!is_mutant(kNoSubmitFence)) fence(Order::seq_cst);
    if (const std::size_t chosen = idle.choose(); chosen != IdleSet::kNobody) unpark(chosen);
  }

  void unpark(std::size_t id) {
    ParkWord& word = members[id].word;
    const ParkWord::Was was = word.unpark();
    if (was.place == ParkWord::kFutex) (void)futex_wake(word.raw(), 1);
    if (was.place == ParkWord::kEpoll) epoll.signal();
  }

  void submit_pinned(std::size_t id) {
    members[id].pinned.fetch_add(1, Order::seq_cst);
    unpark(id);
  }

  void close() {
    if (!is_mutant(kClosesTooLate)) is_closing.store(true, Order::seq_cst);
    for (std::size_t id = 0; id < workers; ++id) unpark(id);
    if (is_mutant(kClosesTooLate)) is_closing.store(true, Order::seq_cst);
  }

  // --- a worker

  [[nodiscard]] bool take() {
    int seen = work.load(Order::relaxed);
    while (seen > 0) {
      if (work.compare_exchange_weak(seen, seen - 1, Order::acq_rel, Order::relaxed)) return true;
    }
    return false;
  }

  [[nodiscard]] bool find_work(std::size_t id) {
    Member& me = members[id];
    if (take_pinned(id) || take()) return true;
    if (!me.is_searching) me.is_searching = idle.try_begin_search();
    return me.is_searching && take();
  }

  [[nodiscard]] bool take_pinned(std::size_t id) {
    Atomic<int>& pinned = members[id].pinned;
    if (pinned.load(Order::acquire) == 0) return false;
    pinned.fetch_sub(1, Order::relaxed);
    return true;
  }

  void stop_searching(std::size_t id) {
    Member& me = members[id];
    bool hands_on = std::exchange(me.was_idle, false) && me.in_site.load(Order::seq_cst) != 0 &&
                    !is_mutant(kComesOutSilently) && !idle.is_watched();
    if (std::exchange(me.is_searching, false))
      hands_on |= idle.end_search() && !is_mutant(kLastSearcherIsSilent);
    if (hands_on) notify_one();
  }

  // Called by a fiber on worker `id`.
  void operate(std::size_t id) {
    members[id].in_site.fetch_add(1, Order::seq_cst);
    if (!is_mutant(kStartIsSilent) && !idle.is_watched()) notify_one();
  }

  [[nodiscard]] bool has_site_to_watch(std::size_t asker) const {
    for (std::size_t id = 0; id < workers && !is_mutant(kSitesAreForgotten); ++id)
      if (id != asker && members[id].in_site.load(Order::seq_cst) != 0 && !idle.is_asleep(id))
        return true;
    return false;
  }

  void visit_others(std::size_t visitor) {
    for (std::size_t id = 0; id < workers && !is_mutant(kVisitsNobody); ++id)
      if (id != visitor && members[id].in_site.exchange(0, Order::acq_rel) != 0) visited.signal();
  }

  void park(std::size_t id) {
    Member& me = members[id];
    idle.announce(id);
    const bool ends = !is_mutant(kSearchOn) && std::exchange(me.is_searching, false);
    const bool was_last = ends && idle.end_search();
    if (!is_mutant(kNoParkFence)) fence(Order::seq_cst);
    const bool may_sleep = !is_closing.load(Order::seq_cst) &&
                           members[id].pinned.load(Order::seq_cst) == 0 &&
                           work.load(Order::relaxed) <= 0;
    if (may_sleep || is_mutant(kNoSecondLook)) {
      sleep(id);
    } else {
      come_back(id);
      if (was_last && !is_mutant(kFoundAtLastIsSilent)) notify_one();
    }
    if (is_mutant(kSearchOn) && std::exchange(me.is_searching, false)) (void)idle.end_search();
  }

  void come_back(std::size_t id) {
    members[id].was_idle = true;
    if (!idle.retract(id)) members[id].is_searching = true;
  }

  int activity(std::size_t asker) const {
    int sum = 0;
    for (std::size_t id = 0; id < workers; ++id) sum += id == asker ? 0 : steps[id];
    return sum;
  }

  // The real watcher watches for a while when all sleep; nothing can happen then.
  void sleep(std::size_t id) {
    Member& me = members[id];
    const bool has_watched = std::exchange(me.watch_ran_out, false);
    const int now = activity(id);
    const bool others_move = std::exchange(me.seen_activity, now) != now;
    const bool may_watch = gives_up ? has_site_to_watch(id) : idle.sleepers() != workers;
    if (may_watch && !is_mutant(kNobodyWatches)) {
      me.is_watcher = idle.try_watch();
      if (me.is_watcher) check(std::exchange(watchers, watchers + 1) == 0, "two watchers");
    }
    const bool leaves_baton =
        me.is_watcher && ((others_move && !has_watched && idle.sleepers() < workers) ||
                          is_mutant(kWatcherNeverDrives));
    int woken = 0;
    if (!leaves_baton && !is_mutant(kNoBatonRetry) && baton.try_take()) {
      woken = sleep_in_driver(id);
    } else {
      sleep_on_futex(id);
    }
    if (gives_up) visit_others(id);
    if (std::exchange(me.is_watcher, false) && !is_mutant(kWatchKept)) {
      --watchers;
      idle.stop_watching();
      me.watch_ran_out = woken == 0;
    }
    submit_batch(woken);
  }

  // Returns how many fibers the events have woken.
  int sleep_in_driver(std::size_t id) {
    Member& me = members[id];
    driver = driver + 1;
    int woken = 0;
    if (me.word.enter(ParkWord::kEpoll, 0)) {
      if (!me.is_watcher) epoll.wait();
      if (me.is_watcher) (void)epoll.wait_for();
      woken = turn();
      (void)me.word.leave();
    }
    come_back(id);
    baton.release();
    fence(Order::seq_cst);
    if (woken != 0 && !is_mutant(kHandOverIsSilent) && !idle.is_watched()) notify_one();
    return woken;
  }

  int turn() {
    driver = driver + 1;
    const int events = ready.exchange(0, Order::acq_rel);
    if (events != 0 && polled.fetch_add(events, Order::acq_rel) + events == kEvents) {
      all_polled.signal();
    }
    return events;
  }

  void submit_batch(int count) {
    if (count == 0) return;
    work.fetch_add(count, Order::release);
    if (!is_mutant(kHandOverIsSilent) && !idle.is_watched()) notify_one();
  }

  // Between two fibers.
  void poll() {
    if (!baton.try_take()) return;
    const int woken = turn();
    baton.release();
    submit_batch(woken);
  }

  void sleep_on_futex(std::size_t id) {
    Member& me = members[id];
    if (me.word.enter(ParkWord::kFutex)) {
      if (!me.is_watcher) futex_wait(me.word.raw(), ParkWord::kFutex);
      if (me.is_watcher) (void)futex_wait_for(me.word.raw(), ParkWord::kFutex);
      (void)me.word.leave();
    }
    come_back(id);
  }

  template <class Run>
  void run(std::size_t id, Run&& run_one) {
    while (!is_closing.load(Order::seq_cst)) {
      ++steps[id];
      if (find_work(id)) {
        stop_searching(id);
        run_one();
      } else {
        park(id);
      }
    }
  }

};

}  // namespace

TEST_CASE("Idle model: no element waits while all workers sleep, and one drives the shard") {
  check_model("idle: two workers against submits", [] {
    Crew crew(2);
    Atomic<int> done{0};
    const auto run_one = [&] {
      if (done.fetch_add(1, Order::acq_rel) == 1) crew.close();
    };
    Thread one([&] { crew.run(0, run_one); });
    Thread two([&] { crew.run(1, run_one); });
    crew.submit();
    crew.submit();
  }, Mutants{21, 23, 25, 26,
             {kNoSubmitFence, "submit does not fence before it looks for sleepers"},
             {kNoParkFence, "the worker does not fence after announcing"},
             {kNoSecondLook, "the worker does not look again after announcing"},
             {kSearchOn, "the worker counts as a searcher until after its second look"}},
     {.preemptions = 2});
}

TEST_CASE("Idle model: the last searcher that found work wakes the next one") {
  check_model("idle: passing the search on", [] {
    Crew crew(2);
    Atomic<int> started{0}, ended{0};
    Event second_started;
    const auto run_one = [&] {
      const int before = started.fetch_add(1, Order::acq_rel);
      if (before == 0) second_started.wait();
      if (before == 1) second_started.signal();
      if (ended.fetch_add(1, Order::acq_rel) == 1) crew.close();
    };
    Thread one([&] { crew.run(0, run_one); });
    Thread two([&] { crew.run(1, run_one); });
    crew.submit();
    crew.submit();
  }, Mutants{23,
             {kNoSubmitFence, "submit does not fence before it looks for sleepers"},
             {kLastSearcherIsSilent, "the last searcher that found work wakes nobody"},
             {kFoundAtLastIsSilent, "work found in the last searcher's second look wakes nobody"}},
     {.preemptions = 2});
}

TEST_CASE("Idle model: a sleeper is chosen once, and one sleeper watches") {
  check_model("idle: choosing and watching", [] {
    IdleSet idle(2);
    Atomic<int> chosen{0}, watchers{0};
    idle.announce(0);
    const auto producer = [&] {
      if (idle.take_sleeper() != IdleSet::kNobody) chosen.fetch_add(1);
      if (idle.try_watch()) watchers.fetch_add(1);
    };
    {
      Thread one(producer), two(producer);
      if (idle.retract(0)) chosen.fetch_add(1);
    }
    check(chosen.load() == 1, "the sleeper was chosen twice, or its retract got lost");
    check(watchers.load() == 1, "two watch, or nobody does");
  }, Mutants{21, 22, 24}, {.preemptions = 3});
}

TEST_CASE("Idle model: a worker stuck in one fiber leaves the sockets to another worker") {
  check_model("idle: baton and watcher (P4)", [] {
    Crew crew(2);
    Atomic<int> started{0}, ended{0};
    const auto run_one = [&] {
      if (started.fetch_add(1, Order::acq_rel) == 0) {
        crew.poll();
        crew.all_polled.wait();  // until a worker has polled the other event
      }
      if (ended.fetch_add(1, Order::acq_rel) + 1 == kEvents) crew.close();
    };
    Thread one([&] { crew.run(0, run_one); });
    Thread two([&] { crew.run(1, run_one); });
    for (int i = 0; i < kEvents; ++i) {
      crew.ready.fetch_add(1, Order::release);
      crew.epoll.signal();
    }
  }, Mutants{{kNoBatonRetry, "a worker that goes to sleep does not try the baton"},
             {kHandOverIsSilent, "a worker that releases the baton with work wakes nobody"},
             {kNobodyWatches, "no sleep is bounded"},
             {kWatcherNeverDrives, "the watcher leaves the baton for ever"},
             {kWatchKept, "the watcher keeps the role when it has work"}}, {.preemptions = 2});
}

TEST_CASE("Idle model: a worker stuck in a fiber that started an operation is visited") {
  check_model("idle: an operation, and stuck (P5)", [] {
    Crew crew(2);
    crew.gives_up = true;
    const auto run_one = [&](std::size_t id) {
      crew.operate(id);
      crew.visited.wait();
      crew.close();
    };
    Thread one([&] { crew.run(0, [&] { run_one(0); }); });
    Thread two([&] { crew.run(1, [&] { run_one(1); }); });
    crew.submit();
  }, Mutants{{kStartIsSilent, "an operation is started, and nobody is woken to watch"},
             {kSitesAreForgotten, "a worker that goes to sleep does not look at the sites"},
             {kVisitsNobody, "the watcher does not visit"}}, {.preemptions = 2});
}

TEST_CASE("Idle model: a worker that comes out of its site and gets stuck in a fiber is visited") {
  check_model("idle: out of the site, and stuck (P5)", [] {
    Crew crew(2);
    crew.gives_up = true;
    Cell<int> started{0};
    const auto run_one = [&] {
      if (started == 0) {
        started = 1;
        crew.operate(0);
        return;
      }
      crew.visited.wait();
      crew.close();
    };
    Thread one([&] { crew.run(0, run_one); });
    Thread two([&] { crew.run(1, [] {}); });
    crew.submit_pinned(0);
    crew.submit_pinned(0);
  }, Mutants{{kComesOutSilently, "nobody is woken to watch"},
             {kSitesAreForgotten, "a worker that goes to sleep does not look at the sites"},
             {kVisitsNobody, "the watcher does not visit"}}, {.preemptions = 2});
}

TEST_CASE("Idle model: a shutdown reaches the workers that sleep and those that are about to") {
  check_model("idle: shutdown against park", [] {
    Crew crew(2);
    Thread one([&] { crew.run(0, [] {}); });
    Thread two([&] { crew.run(1, [] {}); });
    crew.submit();
    crew.close();
  }, Mutants{{kClosesTooLate, "the workers are woken before the flag is set"},
             72}, {.preemptions = 2});
}
