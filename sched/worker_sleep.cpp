// How a worker looks at the driver, goes to sleep and comes back.
//
//   announce -> fence -> look at every queue -> sleep where the events arrive
//            -> retract -> make the woken fibers runnable
//
//   in the driver   the worker holds a baton: it sleeps in the shard's epoll, until the earliest
//                   timer of all wheels
//   in its site     operations of its own are in flight
//   on a futex      other workers hold the batons
//
// P4 A worker that goes to sleep becomes the watcher if there is none. It sleeps at most `watch`,
//    then searches (and takes the fiber in the LIFO slot of a worker that is stuck in another
//    fiber), then takes a free baton. After 20 watches in which nothing moved it sleeps without a
//    bound, unless a fiber waits in such a slot.
#include "sched/base/sys.hpp"
#include "sched/scheduler.hpp"
#include "sched/worker.hpp"

#include <algorithm>

namespace ramie::inline v0::sched {

namespace {
constexpr std::uint32_t kQuietWatches = 20;
constexpr base::Nanos kForEver{-1};
constexpr base::Nanos kLeastWatch{200'000};
}  // namespace

// Looks at the driver between two fibers, without sleeping.
void Worker::poll() noexcept {
  first_yielder_.reset();
  picks_to_poll_ = options_.event_interval;
  read_clock();
  FiberList out;
  if (Shard* shard = shards_.take_baton(first_shard_)) {
    metrics_.polls.add();
    shard->driver().turn(base::Nanos(0), out);
    release_baton(*shard, out);
  }
  if (ParkSite* site = site_.load(base::kRelaxed)) site->reap(out);
  visit_others(out);
  submit_batch(out);
}

void Worker::park() noexcept {
  workers_.idle().announce(index_);
  bool was_last = false;
  if (is_searching_) {
    is_searching_ = false;
    was_last = workers_.idle().end_search();
  }
  base::fence(base::kSeqCst);  // P3
  chaos_.stumble();
  if (may_sleep()) {
    chaos_.stumble();
    sleep();
    return;
  }
  come_back();
  if (was_last) workers_.notify_one();  // producers that saw us searching woke nobody
}

bool Worker::may_sleep() noexcept {
  return !workers_.is_closing() && inbox_size_.load(base::kSeqCst) == 0 &&
         !workers_.has_work_anywhere();
}

void Worker::come_back() noexcept {
  was_idle_ = true;
  if (!workers_.idle().retract(index_)) is_searching_ = true;           // a waker counted us
  if (Watchdog* watchdog = scheduler_.watchdog()) watchdog->on_work();  // ORDER(watchdog-1)
}

void Worker::sleep() noexcept {
  metrics_.parks.add();
  gave_up_watch_ = false;
  const bool has_watched = std::exchange(watch_ran_out_, false);
  const std::uint64_t activity = workers_.activity(*this);
  const bool others_move = std::exchange(seen_activity_, activity) != activity;
  const base::Nanos bound = watch_bound(others_move);
  // A new watcher leaves the baton to the workers that run. If it took the baton at once, the
  // sockets would move to and fro between two workers, with a wake-up for each event. It drives
  // after a watch, and while nobody else moves.
  const bool leaves_baton =
      is_watcher_ && others_move && !has_watched && workers_.idle().sleepers() < workers_.size();
  FiberList out;
  bool was_notified = false;
  if (has_inflight()) was_notified = sleep_in_site(bound, out);
  else if (leaves_baton) was_notified = sleep_on_futex(bound);
  else if (Shard* shard = shards_.take_baton(first_shard_))
    was_notified = sleep_in_driver(*shard, bound, out);
  else was_notified = sleep_on_futex(bound);
  read_clock();
  visit_others(out);
  metrics_.unparks.add();
  if (was_notified) metrics_.notified.add();
  end_watch(was_notified || !out.is_empty());
  submit_batch(out);
}

// Returns the longest that this sleep may last.
base::Nanos Worker::watch_bound(bool others_move) noexcept {
  const base::Nanos watch = options_.watch;
  if (watch.count() == 0 || workers_.size() == 1) return kForEver;
  if (others_move) quiet_watches_ = 0;
  // We have announced that we sleep. A worker that fills its slot after this look wakes us
  // (Worker::submit). So does a worker that starts an operation, or that leaves its site to run a
  // fiber.
  const bool may_sleep_on = quiet_watches_ >= kQuietWatches && !workers_.has_lifo_waiting(*this) &&
                            !workers_.has_site_to_watch(*this);
  if (may_sleep_on) return kForEver;
  if (!workers_.idle().try_watch()) return kForEver;
  is_watcher_ = true;
  return watch;
}

void Worker::end_watch(bool had_reason) noexcept {
  if (!std::exchange(is_watcher_, false)) return;
  workers_.idle().stop_watching();
  gave_up_watch_ = true;
  if (had_reason) return;
  metrics_.watches.add();
  ++quiet_watches_;
  watch_expired_ = watch_ran_out_ = true;
}

// The caller holds the baton of `shard`.
bool Worker::sleep_in_driver(Shard& shard, base::Nanos bound, FiberList& out) noexcept {
  bool was_notified = true;
  if (park_word_.enter(ParkWord::kEpoll, shard.index())) {
    metrics_.polls.add();
    bound = look_at_other_shards(bound, out);
    if (!spin(shard, out)) shard.driver().turn(shard.begin_sleep(timers_, bound), out);
    shard.end_sleep();
    was_notified = park_word_.leave();
  }
  come_back();
  release_baton(shard, out);
  return was_notified;
}

// With more shards than sleepers, this worker polls the shards that nobody drives. Returns the
// longest time that it may sleep.
base::Nanos Worker::look_at_other_shards(base::Nanos bound, FiberList& out) noexcept {
  if (!shards_.has_unattended()) return bound;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& shard = shards_[i];
    if (!shard.try_take()) continue;
    shard.driver().turn(base::Nanos(0), out);
    shard.release();
  }
  if (!out.is_empty()) return base::Nanos(0);
  const base::Nanos watch = std::max(options_.watch, kLeastWatch);
  return bound.count() < 0 ? watch : std::min(bound, watch);
}

void Worker::release_baton(Shard& shard, FiberList& out) noexcept {
  timers_.advance(out);
  chaos_.stumble();
  shard.release();
  // P4: a worker that sleeps on a futex could have the baton now. Wake one worker in each busy
  // spell: it becomes the watcher. (If a producer chose us, stop_searching() wakes it.)
  base::fence(base::kSeqCst);
  const bool is_busy = !out.is_empty() || (!is_searching_ && inbox_size_.load(base::kSeqCst) != 0);
  if (is_busy && workers_.lacks_watcher()) workers_.notify_one();
}

// With a free baton it also waits for the shard's events and the timers: no other worker may be
// awake.
bool Worker::sleep_in_site(base::Nanos bound, FiberList& out) noexcept {
  ParkSite* site = site_.load(base::kRelaxed);
  Shard* shard = shards_.take_baton(first_shard_);
  const int poll_fd = shard == nullptr ? -1 : shard->driver().poll_fd();
  const bool has_slept = park_word_.enter(ParkWord::kRing);
  bool was_notified = true;
  if (has_slept) {
    if (shard != nullptr) bound = shard->begin_sleep(timers_, look_at_other_shards(bound, out));
    site->park(bound, poll_fd);
    if (shard != nullptr) shard->end_sleep();
    was_notified = park_word_.leave();
  }
  come_back();
  site->reap(out);
  if (shard == nullptr) return was_notified;
  if (has_slept && !site->is_quiet(poll_fd)) {
    metrics_.polls.add();
    shard->driver().turn(base::Nanos(0), out);
  }
  release_baton(*shard, out);
  return was_notified;
}

// P5: looks at each worker that has run the same fiber since our last look, one watch ago, and
// takes what is in its site, its queue and its LIFO slot.
void Worker::visit_others(FiberList& out) noexcept {
  const std::int64_t watch = options_.watch.count();
  const std::int64_t now = clock_.load(base::kRelaxed);
  if (watch == 0 || workers_.size() == 1 || now - visited_at_ < watch) return;
  visited_at_ = now;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Worker& other = workers_[i];
    if (&other == this) continue;
    const std::uint32_t tick = other.published_tick_.load(base::kRelaxed);
    if (std::exchange(visit_ticks_[i], tick) != tick) continue;
    if (other.has_inflight()) other.site_.load(base::kAcquire)->visit(out);
    take_from(other, out);
  }
}

// Takes what waits behind a fiber that keeps its worker. Idle workers steal it, too, but perhaps no
// worker is idle.
void Worker::take_from(Worker& stuck, FiberList& out) noexcept {
  if (!stuck.queue_.is_empty())
    if (Fiber* fiber = steal_from(stuck, Queue::kHalf)) out.push_back(*fiber);
  if (Fiber* fiber = steal_lifo_from(stuck)) out.push_back(*fiber);
}

bool Worker::has_inflight() const noexcept {
  const ParkSite* site = site_.load(base::kAcquire);
  return site != nullptr && site->has_inflight();
}

bool Worker::sleep_on_futex(base::Nanos bound) noexcept {
  bool was_notified = true;
  if (park_word_.enter(ParkWord::kFutex)) {
    (void)base::sys::futex_wait(park_word_.futex(), ParkWord::kFutex, bound);
    was_notified = park_word_.leave();
  }
  come_back();
  return was_notified;
}

// Polls for a short while before the kernel puts the thread to sleep. Returns whether anything
// came.
bool Worker::spin(Shard& shard, FiberList& out) noexcept {
  const base::Nanos limit = options_.spin;
  if (limit.count() == 0) return false;
  const base::Instant end = base::now() + limit;
  do {
    shard.driver().turn(base::Nanos(0), out);
    timers_.advance(out);
    if (!out.is_empty() || park_word_.is_notified() || !may_sleep() ||
        lifo_.load(base::kRelaxed) != nullptr)
      return true;
  } while (base::now() < end);
  return false;
}

void Worker::unpark() noexcept {
  const ParkWord::Was was = park_word_.unpark();
  switch (was.place) {
    case ParkWord::kEmpty:
    case ParkWord::kNotified: return;
    case ParkWord::kFutex: base::sys::futex_wake(park_word_.futex(), 1); return;
    case ParkWord::kRing: site_.load(base::kAcquire)->unpark_from_any_thread(); return;
    case ParkWord::kEpoll: shards_[was.shard].driver().unpark(); return;
  }
}

}  // namespace ramie::inline v0::sched
