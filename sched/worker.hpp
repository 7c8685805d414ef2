// One thread that runs fibers: takes the next one, runs it until it switches out, acts on why it
// left; when nothing is left it steals, and when nothing can be stolen it sleeps where the events
// arrive.
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

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;
struct Shard;

class Worker {
 public:
  Worker(Scheduler& scheduler, std::size_t index, std::uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();  // throws std::system_error when no thread can be had
  void join() { thread_.join(); }
  void run() noexcept;

  std::size_t index() const noexcept { return index_; }
  Scheduler& scheduler() const noexcept { return scheduler_; }
  const WorkerMetrics& metrics() const noexcept { return metrics_; }

  // --- from this worker's thread (a fiber on it, or its own loop)
  void submit(Fiber& fiber) noexcept;
  void submit_batch(FiberList& batch) noexcept;
  // P4: something of ours waits that others can take, and we may be busy for long.
  void ensure_watcher() noexcept;
  // Unique in the process.
  std::uint64_t take_id() noexcept;
  // A control block from this worker's cache, or null.
  Fiber* take_block() noexcept;
  void give_block_back(Fiber& fiber) noexcept;
  void count_fruitless() noexcept { metrics_.fruitless.add(); }
  // For the fiber that runs, whose chunk of budget is spent: gives it the next one, unless its
  // budget or its slice is over.
  bool extend_budget(Fiber& fiber) noexcept {
    const base::TsanInternal internal;  // the worker's own data, from one fiber after another
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
  // By our own thread, or before it starts.
  void set_park_site(ParkSite* site) noexcept { site_.store(site, base::kRelease); }

  // --- from any thread, for dumps and the watchdog: a moment's truth
  Fiber* runs() const noexcept { return runs_.load(base::kAcquire); }
  base::Nanos runs_since() const noexcept { return base::Nanos(runs_since_.load(base::kRelaxed)); }
  std::uint32_t tick() const noexcept { return published_tick_.load(base::kRelaxed); }
  int thread_id() const noexcept { return thread_id_.load(base::kRelaxed); }
  // Its thread is in a forked child now (fork.hpp).
  void become_copy() noexcept;
  // Its thread runs no fiber any more.
  bool has_stopped() const noexcept { return has_stopped_.load(base::kAcquire); }
  // Else a handler would run on a fiber's stack, which may have no room for it.
  bool has_signal_stack() const noexcept { return has_signal_stack_.load(base::kRelaxed); }

 private:
  friend class Scheduler;
  using Queue = RunQueue<Fiber, base::kIsModel ? 4 : 256>;
  static constexpr std::uint32_t kWatcherTakes =
      32;  // at most, from a queue that others still serve

  static constexpr std::uint32_t kPinnedEvery = 4;  // picks

  void step() noexcept;
  Fiber* next() noexcept;
  Fiber* next_in_chaos() noexcept;
  void look_at_time() noexcept;
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
  // One to run now; up to `limit` more come into our queue.
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
  bool has_inflight() const noexcept;

  void look_at_clock() noexcept {
    clock_.store(base::now().time_since_epoch().count(), base::kRelaxed);
    pace_.begin(base::cycles());
    polled_at_ = pace_.looked_at();
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
  const std::size_t index_;
  ThreadContext context_;
  Fiber** running_ = nullptr;  // our thread's current_fiber()
  base::Random random_;
  Chaos chaos_;
  std::uint64_t next_id_ = 0;
  std::uint64_t end_of_ids_ = 0;
  std::uint32_t tick_ = 0;
  Pace pace_;
  std::uint32_t budget_ = 0;      // of each run
  std::uint32_t units_left_ = 0;  // of the running fiber's budget, behind its chunk
  // Picks, and the cycle counter: see next().
  std::uint32_t polls_in_ = 1;
  std::uint32_t injected_tick_ = 0;  // of the last that was taken
  std::uint32_t pinned_tick_ = 0;
  std::uint32_t lifo_streak_ = 0;
  std::uint64_t polled_at_ = 0;
  std::uint64_t injected_at_ = 0;
  bool is_injector_late_ = false;
  bool is_searching_ = false;
  bool is_copy_ = false;  // in a forked child
  bool is_watcher_ = false;
  bool gave_up_watch_ = false;  // we were the watcher, and have not slept since
  bool watch_ran_out_ = false;  // our last sleep was a watch, and nothing came
  bool watch_expired_ = false;  // we woke because the bound ran out
  bool was_idle_ = false;       // we have run nothing since we last announced ourselves
  std::uint32_t quiet_watches_ = 0;
  std::int64_t visited_at_ = 0;      // our clock at our last look at the sites of others
  std::uint64_t seen_activity_ = 0;  // of the others, when we last went to sleep
  StackCache stacks_;
  FiberList blocks_;                       // unused control blocks
  std::optional<std::uint32_t> polls_at_;  // the place in the queue of the first that yielded

  Queue queue_;
  alignas(base::kCacheLine) base::Atomic<Fiber*> lifo_{nullptr};
  // For others: what we do, and whether we are stuck in one fiber.
  base::Atomic<std::uint32_t> published_tick_{0};
  base::Atomic<int> thread_id_{0};
  base::Atomic<bool> has_signal_stack_{false};
  base::Atomic<bool> has_stopped_{false};
  base::Atomic<Fiber*> runs_{nullptr};
  base::Atomic<std::int64_t> runs_since_{0};
  base::Atomic<std::int64_t> clock_{0};  // ns: our last look, at a poll or after a sleep
  base::Atomic<ParkSite*> site_{nullptr};
  alignas(base::kCacheLine) ParkWord park_word_;
  base::Mutex inbox_mutex_;
  FiberList inbox_;  // pinned fibers
  base::Atomic<std::size_t> inbox_size_{0};
  std::vector<std::uint32_t> seen_ticks_;   // of the others, at our last search
  std::vector<std::uint32_t> visit_ticks_;  // and at our last look at their sites
  WorkerMetrics metrics_;
  base::Thread thread_;
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
