// How a worker looks at the driver, goes to sleep and comes back.
//
//   announce -> fence -> look at every queue -> sleep where the events arrive -> retract -> hand
//   the work out
//
//   in the driver   we hold a baton: the shard's epoll, until the earliest timer of all wheels
//   in our site     operations of ours are in flight
//   on a futex      others hold the batons
//
// P4: who goes to sleep is the watcher, if there is none: it sleeps at most `watch`, then searches
//   (and takes what lies in the LIFO slot of a worker stuck in one fiber), then takes a free baton.
//   After 20 watches in which nothing moved it sleeps on, unless something lies in such a slot.
#include "sched/base/sys.hpp"
#include "sched/scheduler.hpp"
#include "sched/worker.hpp"

#include <algorithm>

namespace ramie {
inline namespace v0 {
namespace sched {

namespace {
constexpr std::uint32_t kQuietWatches = 20;
constexpr base::Nanos kForEver{-1};
constexpr base::Nanos kLeastWatch{200'000};
}  // namespace

// A look at the driver without sleeping, between two fibers.
void Worker::poll() noexcept {
  polls_at_.reset();
  polls_in_ = scheduler_.options_.event_interval;
  look_at_clock();
  FiberList out;
  if (Shard* shard = scheduler_.take_baton(index_)) {
    metrics_.polls.add();
    shard->driver->turn(base::Nanos(0), out);
    release_baton(*shard, out);
  }
  if (ParkSite* site = site_.load(base::kRelaxed)) site->reap(out);
  visit_others(out);
  submit_batch(out);
}

void Worker::park() noexcept {
  scheduler_.idle_.announce(index_);
  bool was_last = false;
  if (is_searching_) {
    is_searching_ = false;
    was_last = scheduler_.idle_.end_search();
  }
  base::fence(base::kSeqCst);  // P3
  chaos_.stumble();
  if (may_sleep()) {
    chaos_.stumble();
    sleep();
    return;
  }
  come_back();
  if (was_last) scheduler_.notify_one();  // who saw us searching woke nobody
}

bool Worker::may_sleep() noexcept {
  return !scheduler_.is_closing() && inbox_size_.load(base::kSeqCst) == 0 &&
         !scheduler_.has_work_anywhere(*this);
}

void Worker::come_back() noexcept {
  was_idle_ = true;
  if (!scheduler_.idle_.retract(index_)) is_searching_ = true;           // a waker counted us
  if (scheduler_.watchdog_ != nullptr) scheduler_.watchdog_->on_work();  // ORDER(watchdog-1)
}

void Worker::sleep() noexcept {
  metrics_.parks.add();
  gave_up_watch_ = false;
  const bool has_watched = std::exchange(watch_ran_out_, false);
  const std::uint64_t activity = scheduler_.activity(*this);
  const bool others_move = std::exchange(seen_activity_, activity) != activity;
  const base::Nanos bound = watch_bound(others_move);
  // A new watcher leaves the baton to those who run: taking it at once would hand the sockets to
  // and fro between two workers, with a wake-up for each event. After a watch, and as long as
  // nobody else moves, it drives.
  const bool leaves_baton = is_watcher_ && others_move && !has_watched &&
                            scheduler_.idle_.sleepers() < scheduler_.workers();
  FiberList out;
  bool was_notified = false;
  if (has_inflight()) was_notified = sleep_in_site(bound, out);
  else if (leaves_baton) was_notified = sleep_on_futex(bound);
  else if (Shard* shard = scheduler_.take_baton(index_))
    was_notified = sleep_in_driver(*shard, bound, out);
  else was_notified = sleep_on_futex(bound);
  look_at_clock();
  visit_others(out);
  metrics_.unparks.add();
  if (was_notified) metrics_.notified.add();
  end_watch(was_notified || !out.is_empty());
  submit_batch(out);
}

// Returns the longest that this sleep may last.
base::Nanos Worker::watch_bound(bool others_move) noexcept {
  const base::Nanos watch = scheduler_.options_.watch;
  if (watch.count() == 0 || scheduler_.workers() == 1) return kForEver;
  if (others_move) quiet_watches_ = 0;
  // We have announced ourselves: a slot that is filled after this look wakes us (Worker::submit),
  // and so does a worker that starts an operation, or comes out of its site to run a fiber.
  const bool may_sleep_on = quiet_watches_ >= kQuietWatches &&
                            !scheduler_.has_lifo_waiting(*this) &&
                            !scheduler_.has_site_to_watch(*this);
  if (may_sleep_on) return kForEver;
  if (!scheduler_.idle_.try_watch()) return kForEver;
  is_watcher_ = true;
  return watch;
}

void Worker::end_watch(bool had_reason) noexcept {
  if (!std::exchange(is_watcher_, false)) return;
  scheduler_.idle_.stop_watching();
  gave_up_watch_ = true;
  if (had_reason) return;
  metrics_.watches.add();
  ++quiet_watches_;
  watch_expired_ = watch_ran_out_ = true;
}

// We hold the shard's baton.
bool Worker::sleep_in_driver(Shard& shard, base::Nanos bound, FiberList& out) noexcept {
  bool was_notified = true;
  if (park_word_.enter(ParkWord::kEpoll, shard.index)) {
    metrics_.polls.add();
    bound = look_at_other_shards(bound, out);
    if (!spin(shard, out)) shard.driver->turn(scheduler_.bound_by_timers(shard, bound), out);
    shard.sleeps_until.store(0, base::kSeqCst);
    was_notified = park_word_.leave();
  }
  come_back();
  release_baton(shard, out);
  return was_notified;
}

// More shards than sleepers: those that nobody drives are polled here, again and again. Returns the
// longest that we may sleep.
base::Nanos Worker::look_at_other_shards(base::Nanos bound, FiberList& out) noexcept {
  if (!scheduler_.has_unattended_shard()) return bound;
  for (const auto& shard : scheduler_.shards_) {
    if (!shard->baton.try_take()) continue;
    shard->driver->turn(base::Nanos(0), out);
    shard->baton.release();
  }
  if (!out.is_empty()) return base::Nanos(0);
  const base::Nanos watch = std::max(scheduler_.options_.watch, kLeastWatch);
  return bound.count() < 0 ? watch : std::min(bound, watch);
}

void Worker::release_baton(Shard& shard, FiberList& out) noexcept {
  scheduler_.timers_.advance(out);
  chaos_.stumble();
  shard.baton.release();
  // P4: whoever sleeps on a futex could have the baton now. One wake a busy spell: it becomes the
  // watcher. (If a producer chose us, stop_searching() does it.)
  base::fence(base::kSeqCst);
  const bool is_busy = !out.is_empty() || (!is_searching_ && inbox_size_.load(base::kSeqCst) != 0);
  if (is_busy && scheduler_.lacks_watcher()) scheduler_.notify_one();
}

// With a free baton we also wait for the shard's events and the timers: nobody else may be awake.
bool Worker::sleep_in_site(base::Nanos bound, FiberList& out) noexcept {
  ParkSite* site = site_.load(base::kRelaxed);
  Shard* shard = scheduler_.take_baton(index_);
  bool was_notified = true;
  if (park_word_.enter(ParkWord::kRing)) {
    if (shard == nullptr) {
      site->park(bound, -1);
    } else {
      const int poll_fd = shard->driver->poll_fd();
      bound = look_at_other_shards(bound, out);
      site->park(scheduler_.bound_by_timers(*shard, bound), poll_fd);
      site->reap(out);
      shard->sleeps_until.store(0, base::kSeqCst);
      if (!site->is_quiet(poll_fd)) {
        metrics_.polls.add();
        shard->driver->turn(base::Nanos(0), out);
      }
    }
    was_notified = park_word_.leave();
  }
  come_back();
  site->reap(out);
  if (shard != nullptr) release_baton(*shard, out);
  return was_notified;
}

// P5: what is in the site, the queue and the LIFO slot of a worker that has run one and the same
// fiber since our last look, one watch ago, does not wait for it.
void Worker::visit_others(FiberList& out) noexcept {
  const std::int64_t watch = scheduler_.options_.watch.count();
  const std::int64_t now = clock_.load(base::kRelaxed);
  if (watch == 0 || scheduler_.workers() == 1 || now - visited_at_ < watch) return;
  visited_at_ = now;
  for (std::size_t i = 0; i < scheduler_.workers(); ++i) {
    Worker& other = scheduler_.worker(i);
    if (&other == this) continue;
    const std::uint32_t tick = other.published_tick_.load(base::kRelaxed);
    if (std::exchange(visit_ticks_[i], tick) != tick) continue;
    if (other.has_inflight()) other.site_.load(base::kAcquire)->visit(out);
    take_from(other, out);
  }
}

// What waits behind a fiber that keeps its worker. Idle workers steal it, but nobody may be idle.
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

// Polls for a short while before the kernel puts us to sleep. True: something came.
bool Worker::spin(Shard& shard, FiberList& out) noexcept {
  const base::Nanos limit = scheduler_.options_.spin;
  if (limit.count() == 0) return false;
  const base::Instant end = base::now() + limit;
  do {
    shard.driver->turn(base::Nanos(0), out);
    scheduler_.timers_.advance(out);
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
    case ParkWord::kEpoll: scheduler_.shards_[was.shard]->driver->unpark(); return;
  }
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
