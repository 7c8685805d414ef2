// See worker.hpp. This file: what runs next, and what happens to it. Sleeping is in
// worker_sleep.cpp.
#include "sched/worker.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"
#include "sched/fiber_main.hpp"
#include "sched/fork.hpp"
#include "sched/overflow.hpp"
#include "sched/scheduler.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <mutex>

namespace ramie {
inline namespace v0 {
namespace sched {

namespace {
constexpr std::size_t kBlockCache = 64;
constexpr std::uint64_t kIdBlock = 256;
}  // namespace

Worker::Worker(Scheduler& scheduler, std::size_t index, std::uint64_t seed)
    : scheduler_(scheduler),
      index_(index),
      random_(seed),
      chaos_(scheduler.options().chaos, index),
      pace_(scheduler.options().slice),
      budget_(scheduler.options().budget == 0 ? ~0U : scheduler.options().budget),
      stacks_(scheduler.stacks()),
      seen_ticks_() {}

Worker::~Worker() { scheduler_.slab_.deposit(blocks_); }

void Worker::start() {
  seen_ticks_.resize(scheduler_.workers());
  visit_ticks_.resize(scheduler_.workers());
  thread_ = base::start_thread([this] { run(); });
}

void Worker::run() noexcept {
  context_.attach();
  const base::TsanInternal internal;  // of the loop: fibers have contexts of their own
  set_current_worker(this);
  thread_id_.store(base::sys::thread_id(), base::kRelaxed);
  look_at_clock();
  running_ = &current_fiber_slot();
  AlternateStack signal_stack;
  if (scheduler_.options().alternate_stacks) {
    has_signal_stack_.store(signal_stack.install(), base::kRelaxed);
    base::sys::unblock_signal(SIGSEGV);  // blocked, it would end the program without a word
  }
  if (scheduler_.options().interrupts) base::sys::unblock_signal(SIGURG);
  base::sys::no_timer_slack();
  if (const auto& cpus = scheduler_.options().cpus; !cpus.empty())
    base::sys::pin_thread({&cpus[index_ % cpus.size()], 1});
  char name[16];
  std::snprintf(name, sizeof name, "%.11s-%u", scheduler_.options().thread_name.c_str(),
                static_cast<unsigned>(index_));
  base::sys::name_thread(name);
  if (scheduler_.options().on_thread_start) scheduler_.options().on_thread_start();
  while (!scheduler_.is_closing()) step();
  if (scheduler_.options().on_thread_stop) scheduler_.options().on_thread_stop();
  stacks_.flush();
  set_current_worker(nullptr);
  has_stopped_.store(true, base::kRelease);
}

void Worker::step() noexcept {
  if (is_copy_) [[unlikely]]
    refuse_copy();  // a hook of ours has forked
  Fiber* fiber = chaos_.is_on() ? next_in_chaos() : next();
  if (fiber == nullptr) fiber = steal();
  if (fiber == nullptr) {
    park();
    return;
  }
  if (gave_up_watch_ || was_idle_ || is_searching_) stop_searching();
  run_one(*fiber);
}

// --- what runs next ------------------------------------------------------------------------------

// A pick takes one fiber of one kind. Whatever the knobs are, and however many of the other kinds
// wait, each kind that waits has its turn:
//
//   injected   at most every other pick; at least every 61st, or every `global_interval`th, and
//              after a slice of time (about 100 us)
//   pinned     every fourth pick, or the next after an injected one
//   LIFO slot  of the other picks all but one in `lifo` + 1
//   queue      of the other picks one in `lifo` + 1, and after a slice of time if the slot has had
//              a turn since the queue's last one: each run may take longer than a slice
//   driver     is looked at before every `event_interval`th pick, before a fiber that yielded runs
//              again, and after a slice of time
Fiber* Worker::next() noexcept {
  published_tick_.store(++tick_, base::kRelaxed);
  if (pace_.is_look_due()) look_at_time();
  const bool is_yielders_turn = polls_at_ && queue_.has_come_to(*polls_at_);
  if (--polls_in_ == 0 || is_yielders_turn) poll();
  if (const std::int64_t waiting = scheduler_.injector_.size();
      waiting > 0 && is_injectors_turn(waiting))
    if (Fiber* fiber = take_injected()) return fiber;
  if (Fiber* fiber = next_local()) return fiber;
  return take_injected();
}

void Worker::look_at_time() noexcept {
  const bool is_late = pace_.look_before_run();
  if (is_late && lifo_streak_ != 0) lifo_streak_ = scheduler_.options_.lifo;
  if (pace_.is_late(polled_at_)) polls_in_ = 1;
  if (scheduler_.injector_.size() <= 0) injected_at_ = pace_.looked_at();
  is_injector_late_ = pace_.is_late(injected_at_);
}

// A worker that nobody needs is woken; what others have goes first.
Fiber* Worker::next_in_chaos() noexcept {
  const auto workers = static_cast<std::uint32_t>(scheduler_.workers());
  if (chaos_.strikes(16)) scheduler_.worker(chaos_.below(workers)).unpark();
  Fiber* fiber = chaos_.strikes(4) ? steal() : nullptr;
  return fiber != nullptr ? fiber : next();
}

// As often as the injector's share of the waiting fibers demands, but never twice in a row.
bool Worker::is_injectors_turn(std::int64_t waiting) const noexcept {
  const std::uint32_t since_injected = tick_ - injected_tick_;
  if (since_injected < 2) return false;
  if (is_injector_late_) return true;
  std::uint32_t every = scheduler_.options_.global_interval;
  if (every == 0) {
    const auto share = static_cast<std::uint64_t>(waiting) / scheduler_.workers() + 1;
    every = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(queue_.size() / share + 1, 2, 61));
  }
  return since_injected >= every;
}

Fiber* Worker::take_injected() noexcept {
  Fiber* fiber = scheduler_.injector_.take(index_);
  if (fiber == nullptr) return nullptr;
  metrics_.injected.add();
  injected_tick_ = tick_;
  injected_at_ = pace_.looked_at();
  is_injector_late_ = false;
  return fiber;
}

bool Worker::is_inboxes_turn() const noexcept {
  return tick_ - pinned_tick_ >= kPinnedEvery ||
         (queue_.is_empty() && lifo_.load(base::kRelaxed) == nullptr);
}

Fiber* Worker::next_local() noexcept {
  if (inbox_size_.load(base::kAcquire) != 0 && is_inboxes_turn()) {
    pinned_tick_ = tick_;
    const std::lock_guard lock(inbox_mutex_);
    inbox_size_.fetch_sub(1, base::kRelaxed);
    return inbox_.pop_front();
  }
  const bool may_take_lifo =
      (lifo_streak_ < scheduler_.options_.lifo && !chaos_.strikes(2)) || queue_.is_empty();
  if (may_take_lifo && lifo_.load(base::kRelaxed) != nullptr) {
    if (Fiber* fiber = lifo_.exchange(nullptr, base::kAcqRel)) {
      ++lifo_streak_;
      metrics_.lifo_runs.add();
      return fiber;
    }
  }
  lifo_streak_ = 0;
  if (Fiber* fiber = queue_.pop()) return fiber;
  // Thieves may have emptied the queue since we looked. Who sleeps with a full slot is not woken
  // for it, and nobody else may take it: it has its turn now.
  return lifo_.load(base::kRelaxed) == nullptr ? nullptr : lifo_.exchange(nullptr, base::kAcqRel);
}

Fiber* Worker::steal() noexcept {
  const std::size_t workers = scheduler_.workers();
  if (workers == 1) return nullptr;
  if (!is_searching_) {
    if (!scheduler_.idle_.try_begin_search()) return nullptr;
    is_searching_ = true;
  }
  if (chaos_.strikes(8)) return nullptr;
  const bool may_take_lifo = watch_expired_;
  watch_expired_ = false;
  const std::uint32_t limit = may_take_lifo ? kWatcherTakes : Queue::kHalf;
  const std::size_t start = random_.below(static_cast<std::uint32_t>(workers));
  for (std::size_t i = 0; i < workers; ++i) {
    Worker& victim = scheduler_.worker((start + i) % workers);
    if (&victim == this) continue;
    if (Fiber* fiber = steal_from(victim, limit)) return fiber;
  }
  if (Fiber* fiber = take_injected()) return fiber;
  if (!may_take_lifo) return nullptr;
  for (std::size_t i = 0; i < workers; ++i)
    if (Fiber* fiber = steal_aged_lifo(scheduler_.worker(i))) return fiber;
  return nullptr;
}

// The slot is for the hot hand-over between two fibers, so it is taken only from a worker that has
// run one and the same fiber since our last look, one watch ago. (Tokio made it stealable at once
// and lost 20 to 32 %.)
Fiber* Worker::steal_aged_lifo(Worker& victim) noexcept {
  if (&victim == this || victim.lifo_.load(base::kRelaxed) == nullptr) return nullptr;
  const std::uint32_t tick = victim.published_tick_.load(base::kRelaxed);
  if (std::exchange(seen_ticks_[victim.index_], tick) != tick) return nullptr;
  return steal_lifo_from(victim);
}

// Before we run a fiber: who was the last searcher, or the watcher, hands the role on.
void Worker::stop_searching() noexcept {
  bool hands_on = std::exchange(gave_up_watch_, false);
  // P5: who slept on while we slept in our site could not know that we would be busy.
  if (std::exchange(was_idle_, false) && has_inflight()) hands_on |= scheduler_.lacks_watcher();
  if (std::exchange(is_searching_, false)) hands_on |= scheduler_.idle_.end_search();
  if (hands_on) scheduler_.notify_one();
}

// --- making fibers runnable ----------------------------------------------------------------------

void Worker::overflow(std::span<Fiber*> batch) noexcept {
  metrics_.overflows.add();
  scheduler_.injector_.push(batch, index_);
}

void Worker::push(Fiber& fiber) noexcept {
  Fiber* one = &fiber;
  if (fiber.home != nullptr) fiber.home->submit_pinned(fiber);
  else if (chaos_.strikes(2)) overflow(std::span(&one, 1));
  else queue_.push(&fiber, [this](std::span<Fiber*> batch) { overflow(batch); });
}

void Worker::submit(Fiber& fiber) noexcept {
  if (fiber.home != nullptr || scheduler_.options_.lifo == 0 || chaos_.strikes(2)) {
    push(fiber);
    scheduler_.notify_one();
    return;
  }
  if (Fiber* displaced = lifo_.exchange(&fiber, base::kSeqCst)) {
    push(*displaced);
    scheduler_.notify_one();
  } else {
    ensure_watcher();  // somebody must be able to rescue the slot
  }
}

void Worker::ensure_watcher() noexcept {
  if (scheduler_.workers() == 1 || !scheduler_.lacks_watcher()) return;
  if (scheduler_.idle_.has_sleepers()) scheduler_.notify_one();
}

void Worker::submit_batch(FiberList& batch) noexcept {
  const std::size_t total = batch.size();
  if (total == 0) return;
  bool is_outside = false;
  while (!batch.is_empty()) {
    std::array<Fiber*, Queue::kHalf> chunk;
    std::size_t n = 0;
    while (n < chunk.size()) {
      Fiber* fiber = batch.pop_front();
      if (fiber == nullptr) break;
      // A fiber of another runtime may wait for a descriptor of ours.
      if (fiber->scheduler != &scheduler_) fiber->scheduler->submit(*fiber);
      else if (fiber->home != nullptr) fiber->home->submit_pinned(*fiber);
      else chunk[n++] = fiber;
    }
    const std::size_t fits = chaos_.is_on() ? chaos_.below(static_cast<std::uint32_t>(n) + 1) : n;
    const std::size_t kept = queue_.push_batch(std::span(chunk).first(fits));
    if (kept == n) continue;
    metrics_.overflows.add();
    scheduler_.injector_.push(std::span(chunk).subspan(kept, n - kept), index_);
    is_outside = true;
  }
  if (scheduler_.workers() == 1) return;
  const bool is_eager = !scheduler_.options_.lazy_notify && total > 1;
  if (is_eager || is_outside || scheduler_.lacks_watcher()) scheduler_.notify_one();
}

void Worker::submit_pinned(Fiber& fiber) noexcept {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(fiber);
    inbox_size_.fetch_add(1, base::kSeqCst);
  }
  if (current_worker() != this) unpark();
}

// Who yields goes on after a look at the driver, and stands in the queue until then, where others
// may take it: the next fiber may compute for long.
void Worker::requeue(Fiber& fiber) noexcept {
  if (!polls_at_) polls_at_ = queue_.end();
  push(fiber);
  ensure_watcher();
}

// --- running -------------------------------------------------------------------------------------

void Worker::run_one(Fiber& fiber) noexcept {
  if (fiber.word.is_held()) {  // F9
    requeue(fiber);
    return;
  }
  fiber.worker.store(this, base::kRelaxed);
  if (fiber.stack == nullptr) {
    fiber.skip_body = (fiber.word.cancel_bits() & (FiberWord::kCancel | FiberWord::kShutdown)) != 0;
    if (!attach_stack(fiber)) return;
  }
  units_left_ = chaos_.is_on() ? 1 + chaos_.below(4) : budget_;
  (void)give_chunk(fiber);
  metrics_.runs.add();
  *running_ = &fiber;
  runs_since_.store(clock_.load(base::kRelaxed), base::kRelaxed);
  runs_.store(&fiber, base::kRelease);
  switch_in(context_, fiber.context, *fiber.stack);
  *running_ = nullptr;
  runs_.store(nullptr, base::kRelaxed);
  if (is_copy_) [[unlikely]]
    refuse_copy();
  chaos_.stumble();
  switch (fiber.leaving.load(base::kRelaxed)) {  // F1: only now may anybody else run it
    case Leaving::parking:
      fiber.parked_at.store(clock_.load(base::kRelaxed), base::kRelaxed);
      if (fiber.word.commit() == FiberWord::Commit::parked) return;
      push(fiber);
      ensure_watcher();
      return;
    case Leaving::yielding:
      metrics_.yields.add();
      requeue(fiber);
      return;
    case Leaving::ended: finish(fiber); return;
  }
}

// The fiber's next wait, whatever it waits for, comes to refuse_copy().
void Worker::become_copy() noexcept {
  is_copy_ = true;
  units_left_ = 0;
  if (*running_ != nullptr) (*running_)->budget.store(1, base::kRelaxed);
}

// Without its stack the body does not run. The destructor of its closure may wait, so it never runs
// as a part of the worker's loop: it gets a stack of the usual size; failing that, a thread of the
// pool; failing that (the pool has ended, or has no thread), this thread, which waits as a plain
// one.
bool Worker::attach_stack(Fiber& fiber) noexcept {
  int error = 0;
  fiber.stack = stacks_.take(fiber.stack_size, error);
  if (fiber.stack == nullptr) {
    fiber.skip_body = true;
    fiber.error = std::error_code(-error, std::system_category());
    if (fiber.stack_size != 0) fiber.stack = stacks_.take(0, error);
  }
  if (fiber.stack == nullptr) {
    const base::TsanVisible visible;
    set_current_worker(nullptr);
    Scheduler* before = exchange_entered(&scheduler_);
    scheduler_.blocking().submit(fiber);
    (void)exchange_entered(before);
    set_current_worker(this);
    return false;
  }
  fiber.stack_low = reinterpret_cast<std::uintptr_t>(fiber.stack->low());
  fiber.context.prepare(*fiber.stack, &fiber_main, &fiber);
  return true;
}

void Worker::finish(Fiber& fiber) noexcept {
  fiber.word.finish();
  if (fiber.stack != nullptr) {
    fiber.context.release();
    stacks_.give_back(std::exchange(fiber.stack, nullptr));
  }
  // Also when it is not linked: a wheel that is firing it may put it back.
  if (TimerWheel* wheel = fiber.timer.wheel.exchange(nullptr, base::kRelaxed))
    wheel->remove(fiber.timer);
  end_task(fiber);
}

// --- control blocks ------------------------------------------------------------------------------

std::uint64_t Worker::take_id() noexcept {
  if (next_id_ == end_of_ids_) {
    next_id_ = new_fiber_ids(kIdBlock);
    end_of_ids_ = next_id_ + kIdBlock;
  }
  return next_id_++;
}

Fiber* Worker::take_block() noexcept {
  if (blocks_.is_empty() && !scheduler_.slab_.withdraw(blocks_, kBlockCache / 2)) return nullptr;
  return blocks_.pop_front();
}

void Worker::give_block_back(Fiber& fiber) noexcept {
  blocks_.push_back(fiber);
  if (blocks_.size() <= kBlockCache) return;
  FiberList surplus;
  while (blocks_.size() > kBlockCache / 2) surplus.push_back(*blocks_.pop_front());
  scheduler_.slab_.deposit(surplus);
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
