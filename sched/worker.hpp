// A worker is one thread that runs fibers. This page tells the whole scheduler; the files that it
// names have the details.
//
//     spawn or wake by a fiber of this worker        from outside          pinned fibers
//         |                                               |                     |
//         v          what was in the slot                 v                     v
//     LIFO slot ------------+                          injector <--+          inbox
//         |                 v                             |        |            |
//         |   +--->    queue (256) --- when it is full: --|--------+            |
//         |   |             |          the newer half     |                     |
//         +---|--------+----+-----------------------------+---------------------+
//             |        v
//             |   one fiber runs until it parks, yields or ends
//             |                                           |
//             +--- woken by a driver or a timer, yielded -+
//
// A round (step) picks one fiber and runs it:
//   1. next() takes a fiber from one of the four places. Each place has its turn: see next().
//      Before every 61st pick, and after each slice of about 100 us, it also looks at the driver,
//      the timers and its own operations (poll).
//   2. If there is none, steal() takes half of another worker's queue, or an injected fiber. At
//      most half of the workers search at a time.
//   3. With a fiber, run_one() switches to it. When the fiber switches back, the worker acts on the
//      reason: it parks the fiber (F1), queues it again, or ends it.
//   4. Without a fiber, park() sleeps where the next event arrives.
// (F1, P1 and so on are laws: README.md. The numbers are the defaults of RAMIE_EVENT_INTERVAL,
// RAMIE_LIFO and RAMIE_WATCH_US.)
//
// Where a fiber waits for a worker:
//   LIFO slot   the fiber that this worker woke or spawned last: its data are in the cache. While
//               the queue has fibers, at most three in a row run from here, so two fibers that
//               wake each other starve nobody.
//   queue       in order of age; others may steal half of it (run_queue.hpp). Fibers that a driver
//               or a timer has woken, or that yield, go here.
//   injector    shared by all: fibers from outside, and what does not fit into a queue
//   inbox       fibers pinned to this worker; nobody else takes them
// A fiber that waits for anything else stands in none of them: only its waiter points at it.
//
// How a worker sleeps and is woken (worker_sleep.cpp, idle.hpp, park_word.hpp):
//   - It announces that it sleeps, fences, and looks at every queue once more. A producer pushes a
//     fiber, fences, and looks for a searcher; if nobody searches, it wakes one sleeper, which
//     comes back as a searcher. So no push is missed, and one push wakes at most one worker. The
//     last searcher that finds work wakes the next (P3).
//   - It sleeps in its own site (its io_uring) while operations of its own are in flight, else in a
//     driver if a baton is free, else on a futex. The word of its sleep says where, so a waker
//     knows which system call it needs (P2).
//   - One sleeper is the watcher: it comes back after 500 us, steals, and takes a free baton. So
//     one worker that is stuck in a fiber delays sockets, timers and queued fibers by no more than
//     that (P4). The watcher, and any busy worker when it polls, also takes what is in the site,
//     the queue and the slot of a worker that has run one fiber for a whole watch (P5).
//
// Who polls: the worker that holds the baton of a shard, one at a time (P1), between two fibers or
// for as long as it sleeps there. Sockets belong to no worker, so whoever is idle takes the events.
// Timers stand in one wheel for each worker. The worker that holds a baton advances all of them.
//
// Rejected, with what it cost:
//   - A LIFO slot that any thief may take at once. Tokio shipped it and took it back: it lost 20 to
//     32 %. Here another worker takes it only from a worker that has run one fiber for a whole
//     watch.
//   - A LIFO slot without a limit on consecutive runs: two fibers that wake each other starve the
//     queue and the driver (Tokio #5712).
//   - Waking a second worker for each readiness event: a wake-up across cores costs 12 to 25 us.
//     The watcher finds what waits for longer.
//   - One epoll for each worker: a connection waits for its worker, busy or not. A thread of its
//     own for the driver: two thread switches for each batch (both: docs/adr/0001-driver.md).
//   - A full queue that moves its older half to the injector: these fibers would wait twice. The
//     newer half goes, so the order of age stays (run_queue.hpp).
//   - A mutex around the set of sleepers: every wake-up took it. It is a bit mask (idle.hpp).
//   - Fairness by counts alone: 61 picks of 10 ms each are 0.6 s. The cycle counter ends a slice
//     (pace.hpp). A thread that sets a flag every 100 us would compete with the workers for CPUs.
#pragma once

#include "sched/base/annotate.hpp"
#include "sched/base/random.hpp"
#include "sched/base/thread.hpp"
#include "sched/chaos.hpp"
#include "sched/context.hpp"
#include "sched/fiber.hpp"
#include "sched/metrics.hpp"
#include "sched/pace.hpp"
#include "sched/park_site.hpp"
#include "sched/park_word.hpp"
#include "sched/run_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace ramie::inline v0::sched {

class Scheduler;
class Shard;
class Shards;
class TimerSet;
class WorkerSet;
struct SchedulerOptions;

class Worker {
 public:
  Worker(Scheduler& scheduler, std::size_t index, std::uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();  // throws std::system_error if there is no thread
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  void detach() { thread_.detach(); }
  void run() noexcept;

  std::size_t index() const noexcept { return index_; }
  Scheduler& scheduler() const noexcept { return scheduler_; }
  const WorkerMetrics& metrics() const noexcept { return metrics_; }

  // --- from this worker's thread (a fiber on it, or its own loop)
  void submit(Fiber& fiber) noexcept;
  void submit_batch(FiberList& batch) noexcept;
  // Wakes a sleeper as the watcher if there is none (P4): a fiber of this worker waits that others
  // can take, and this worker may be busy for long.
  void ensure_watcher() noexcept;
  // Also before the worker starts.
  void set_park_site(ParkSite* site) noexcept { site_.store(site, base::kRelease); }
  // Unique in the process.
  std::uint64_t take_id() noexcept;
  // A control block from this worker's cache, or null.
  Fiber* take_block() noexcept;
  void give_block_back(Fiber& fiber) noexcept;
  void count_finished() noexcept { metrics_.finished.add(); }
  void count_fruitless() noexcept { metrics_.fruitless.add(); }
  void count_wake() noexcept { metrics_.wakes.add(); }
  // For the running fiber when its chunk of budget is spent. Gives it the next chunk, unless its
  // budget or its slice is over.
  bool extend_budget(Fiber& fiber) noexcept {
    const base::TsanInternal internal;  // the worker's own data, used by one fiber after another
    return !is_slice_over() && give_chunk(fiber);
  }
  bool is_slice_over() noexcept {
    const base::TsanInternal internal;
    if (!pace_.look_inside_run()) return false;
    pace_.hurry();
    return true;
  }

  // --- from any thread
  void submit_pinned(Fiber& fiber) noexcept;
  void unpark() noexcept;
  bool has_stealable_work() const noexcept { return !queue_.is_empty(); }
  bool has_lifo_waiting() const noexcept { return lifo_.load(base::kSeqCst) != nullptr; }
  // Its site has operations that are not complete.
  bool has_inflight() const noexcept;

  // --- from any thread, for dumps and the watchdog: a moment's truth
  Fiber* running() const noexcept { return running_.load(base::kAcquire); }
  base::Nanos running_since() const noexcept {
    return base::Nanos(running_since_.load(base::kRelaxed));
  }
  std::uint32_t tick() const noexcept { return published_tick_.load(base::kRelaxed); }
  int thread_id() const noexcept { return thread_id_.load(base::kRelaxed); }
  // Called in a forked child: this thread is a copy (fork.hpp).
  void become_copy() noexcept;
  // Its thread runs no more fibers.
  bool has_stopped() const noexcept { return has_stopped_.load(base::kAcquire); }
  // Without one, a handler would run on a fiber's stack, which may have no room for it.
  bool has_signal_stack() const noexcept { return has_signal_stack_.load(base::kRelaxed); }

 private:
  using Queue = RunQueue<Fiber, base::kIsModel ? 4 : 256>;
  // From a queue whose owner still serves it, at most.
  static constexpr std::uint32_t kWatcherTakes = 32;

  static constexpr std::uint32_t kPinnedEvery = 4;  // picks

  void step() noexcept;
  Fiber* next() noexcept;
  Fiber* next_in_chaos() noexcept;
  void judge_lateness() noexcept;
  bool is_injectors_turn(std::int64_t waiting) const noexcept;
  Fiber* take_injected() noexcept;
  bool is_inboxes_turn() const noexcept;
  Fiber* next_local() noexcept;
  Fiber* steal() noexcept;
  Fiber* steal_aged_lifo(Worker& victim) noexcept;
  void stop_searching() noexcept;
  void poll() noexcept;
  void park() noexcept;
  void sleep() noexcept;
  bool may_sleep() noexcept;
  base::Nanos watch_bound(bool others_move) noexcept;
  void end_watch(bool had_reason) noexcept;
  void come_back() noexcept;
  // Each returns whether an unpark ended the sleep.
  bool sleep_in_driver(Shard& shard, base::Nanos bound, FiberList& out) noexcept;
  bool sleep_in_site(base::Nanos bound, FiberList& out) noexcept;
  bool sleep_on_futex(base::Nanos bound) noexcept;
  bool spin(Shard& shard, FiberList& out) noexcept;
  base::Nanos look_at_other_shards(base::Nanos bound, FiberList& out) noexcept;
  void release_baton(Shard& shard, FiberList& out) noexcept;
  void visit_others(FiberList& out) noexcept;
  void take_from(Worker& stuck, FiberList& out) noexcept;
  // Returns one fiber to run now; up to `limit` more come into our queue.
  Fiber* steal_from(Worker& victim, std::uint32_t limit) noexcept {
    const std::uint32_t before = queue_.size();
    Fiber* fiber = victim.queue_.steal_into(queue_, limit);
    if (fiber == nullptr) return nullptr;
    metrics_.steals.add();
    const std::uint32_t now = queue_.size();
    metrics_.stolen.add(now > before ? now - before + 1 : 1);  // others may steal from us, too
    return fiber;
  }
  Fiber* steal_lifo_from(Worker& victim) noexcept {
    if (victim.lifo_.load(base::kRelaxed) == nullptr) return nullptr;
    Fiber* fiber = victim.lifo_.exchange(nullptr, base::kAcqRel);
    if (fiber == nullptr) return nullptr;
    metrics_.steals.add();
    metrics_.stolen.add();
    return fiber;
  }

  void read_clock() noexcept {
    clock_.store(base::now().time_since_epoch().count(), base::kRelaxed);
    pace_.begin(base::cycles());
    last_poll_ = pace_.looked_at();
  }
  bool give_chunk(Fiber& fiber) noexcept {
    const std::uint32_t chunk = std::min(units_left_, pace_.chunk());
    if (chunk == 0) return false;
    units_left_ -= chunk;
    fiber.budget.store(chunk, base::kRelaxed);
    return true;
  }
  void run_one(Fiber& fiber) noexcept;
  bool attach_stack(Fiber& fiber) noexcept;
  void finish(Fiber& fiber) noexcept;
  void push(Fiber& fiber) noexcept;
  void requeue(Fiber& fiber) noexcept;
  void overflow(std::span<Fiber*> batch) noexcept;

  Scheduler& scheduler_;
  WorkerSet& workers_;  // all workers of our scheduler, including this one
  const SchedulerOptions& options_;
  Shards& shards_;
  TimerSet& timers_;
  const std::size_t index_;
  const std::size_t first_shard_;  // the shard whose baton we try first
  ThreadContext context_;
  Fiber** current_slot_ = nullptr;  // our thread's current_fiber()
  base::Random random_;
  Chaos chaos_;
  std::uint64_t next_id_ = 0;
  std::uint64_t end_of_ids_ = 0;
  std::uint32_t tick_ = 0;
  Pace pace_;
  std::uint32_t budget_ = 0;      // of each run
  std::uint32_t units_left_ = 0;  // of the running fiber's budget, not yet given out as a chunk
  // Pick numbers, and values of the cycle counter: see next().
  std::uint32_t picks_to_poll_ = 1;
  std::uint32_t injected_tick_ = 0;  // of the last injected fiber
  std::uint32_t pinned_tick_ = 0;
  std::uint32_t lifo_streak_ = 0;
  std::uint64_t last_poll_ = 0;
  std::uint64_t injected_at_ = 0;
  bool is_injector_late_ = false;
  bool is_searching_ = false;
  bool is_copy_ = false;  // this thread is in a forked child
  bool is_watcher_ = false;
  bool gave_up_watch_ = false;  // we were the watcher, and have not slept since
  bool watch_ran_out_ = false;  // our last sleep was a watch in which nothing came
  bool watch_expired_ = false;  // we woke because the bound ran out
  bool was_idle_ = false;       // we have run nothing since we last announced that we sleep
  std::uint32_t quiet_watches_ = 0;
  std::int64_t visited_at_ = 0;      // our clock when we last looked at the sites of others
  std::uint64_t seen_activity_ = 0;  // of the others, when we last went to sleep
  StackCache stacks_;
  FiberList blocks_;                            // unused control blocks
  std::optional<std::uint32_t> first_yielder_;  // since the last poll: its place in the queue

  Queue queue_;
  alignas(base::kCacheLine) base::Atomic<Fiber*> lifo_{nullptr};
  // For other threads: what we do, and whether we are stuck in one fiber.
  base::Atomic<std::uint32_t> published_tick_{0};
  base::Atomic<int> thread_id_{0};
  base::Atomic<bool> has_signal_stack_{false};
  base::Atomic<bool> has_stopped_{false};
  base::Atomic<Fiber*> running_{nullptr};
  base::Atomic<std::int64_t> running_since_{0};
  // ns: our last look at the clock, at a poll or after a sleep
  base::Atomic<std::int64_t> clock_{0};
  base::Atomic<ParkSite*> site_{nullptr};
  alignas(base::kCacheLine) ParkWord park_word_;
  base::Mutex inbox_mutex_;
  FiberList inbox_;  // pinned fibers
  base::Atomic<std::size_t> inbox_size_{0};
  std::vector<std::uint32_t> seen_ticks_;   // of each worker, when its slot was last full
  std::vector<std::uint32_t> visit_ticks_;  // the same, at our last look at their sites
  WorkerMetrics metrics_;
  base::Thread thread_;
};

}  // namespace ramie::inline v0::sched
