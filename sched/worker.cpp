// See worker.hpp. This file decides what runs next and acts on what happened to it. Sleeping is in
// worker_sleep.cpp.
#include "sched/worker.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"
#include "sched/fiber_main.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"
#include "sched/stack_overflow.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <mutex>

namespace ramie::inline v0::sched {

namespace {
constexpr std::size_t kBlockCache = 64;
constexpr std::uint64_t kIdBlock = 256;
}  // namespace

Worker::Worker(Scheduler& scheduler, std::size_t index, std::uint64_t seed)
    : scheduler_(scheduler),
      workers_(scheduler.workers()),
      options_(scheduler.options()),
      shards_(scheduler.shards()),
      timers_(scheduler.timers()),
      index_(index),
      first_shard_(index * shards_.size() / options_.workers),
      random_(seed),
      chaos_(options_.chaos, index),
      pace_(options_.slice),
      budget_(options_.budget == 0 ? ~0U : options_.budget),
      stacks_(scheduler.stacks()),
      seen_ticks_() {}

Worker::~Worker() { scheduler_.slab().deposit(blocks_); }

void Worker::start() {
  seen_ticks_.resize(workers_.size());
  visit_ticks_.resize(workers_.size());
  thread_ = base::start_thread([this] { run(); });
}

void Worker::run() noexcept {
  context_.attach();
  const base::TsanInternal internal;  // of the loop; each fiber has a context of its own
  set_current_worker(this);
  thread_id_.store(base::sys::thread_id(), base::kRelaxed);
  read_clock();
  current_slot_ = &current_fiber_slot();
  AlternateStack signal_stack;
  if (options_.alternate_stacks) {
    has_signal_stack_.store(signal_stack.install(), base::kRelaxed);
    // If it is blocked, a fault ends the program without a message.
    base::sys::unblock_signal(SIGSEGV);
  }
  if (options_.interrupts) base::sys::unblock_signal(SIGURG);
  base::sys::no_timer_slack();
  if (const auto& cpus = options_.cpus; !cpus.empty())
    base::sys::pin_thread({&cpus[index_ % cpus.size()], 1});
  char name[16];
  std::snprintf(name, sizeof name, "%.11s-%u", options_.thread_name.c_str(),
                static_cast<unsigned>(index_));
  base::sys::name_thread(name);
  if (options_.on_thread_start) options_.on_thread_start();
  while (!workers_.is_closing()) step();
  if (options_.on_thread_stop) options_.on_thread_stop();
  stacks_.flush();
  set_current_worker(nullptr);
  has_stopped_.store(true, base::kRelease);
}

void Worker::step() noexcept {
  if (is_copy_) [[unlikely]]
    refuse_copy();  // a hook of this thread has forked
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
  if (pace_.is_look_due()) judge_lateness();
  const bool is_yielders_turn = first_yielder_ && queue_.has_come_to(*first_yielder_);
  if (--picks_to_poll_ == 0 || is_yielders_turn) poll();
  if (const std::int64_t waiting = workers_.injector().size();
      waiting > 0 && is_injectors_turn(waiting))
    if (Fiber* fiber = take_injected()) return fiber;
  if (Fiber* fiber = next_local()) return fiber;
  return take_injected();
}

void Worker::judge_lateness() noexcept {
  const bool is_late = pace_.look_before_run();
  if (is_late && lifo_streak_ != 0) lifo_streak_ = options_.lifo;
  if (pace_.is_late(last_poll_)) picks_to_poll_ = 1;
  if (workers_.injector().size() <= 0) injected_at_ = pace_.looked_at();
  is_injector_late_ = pace_.is_late(injected_at_);
}

// Wakes a worker that is not needed, and takes other workers' fibers first.
Fiber* Worker::next_in_chaos() noexcept {
  const auto workers = static_cast<std::uint32_t>(workers_.size());
  if (chaos_.strikes(16)) workers_[chaos_.below(workers)].unpark();
  Fiber* fiber = chaos_.strikes(4) ? steal() : nullptr;
  return fiber != nullptr ? fiber : next();
}

// The injector gets its share of the waiting fibers, but never two picks in a row.
bool Worker::is_injectors_turn(std::int64_t waiting) const noexcept {
  const std::uint32_t since_injected = tick_ - injected_tick_;
  if (since_injected < 2) return false;
  if (is_injector_late_) return true;
  std::uint32_t every = options_.global_interval;
  if (every == 0) {
    const auto share = static_cast<std::uint64_t>(waiting) / workers_.size() + 1;
    every = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(queue_.size() / share + 1, 2, 61));
  }
  return since_injected >= every;
}

Fiber* Worker::take_injected() noexcept {
  Fiber* fiber = workers_.injector().take(index_);
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
      (lifo_streak_ < options_.lifo && !chaos_.strikes(2)) || queue_.is_empty();
  if (may_take_lifo && lifo_.load(base::kRelaxed) != nullptr) {
    if (Fiber* fiber = lifo_.exchange(nullptr, base::kAcqRel)) {
      ++lifo_streak_;
      metrics_.lifo_runs.add();
      return fiber;
    }
  }
  lifo_streak_ = 0;
  if (Fiber* fiber = queue_.pop()) return fiber;
  // Thieves may have emptied the queue since we looked. The fiber in the slot takes its turn now: a
  // worker that sleeps with a full slot is not woken for it, and no other worker may take it.
  return lifo_.load(base::kRelaxed) == nullptr ? nullptr : lifo_.exchange(nullptr, base::kAcqRel);
}

Fiber* Worker::steal() noexcept {
  const std::size_t workers = workers_.size();
  if (workers == 1) return nullptr;
  if (!is_searching_) {
    if (!workers_.idle().try_begin_search()) return nullptr;
    is_searching_ = true;
  }
  if (chaos_.strikes(8)) return nullptr;
  const bool may_take_lifo = watch_expired_;
  watch_expired_ = false;
  const std::uint32_t limit = may_take_lifo ? kWatcherTakes : Queue::kHalf;
  const std::size_t start = random_.below(static_cast<std::uint32_t>(workers));
  for (std::size_t i = 0; i < workers; ++i) {
    Worker& victim = workers_[(start + i) % workers];
    if (&victim == this) continue;
    if (Fiber* fiber = steal_from(victim, limit)) return fiber;
  }
  if (Fiber* fiber = take_injected()) return fiber;
  if (!may_take_lifo) return nullptr;
  for (std::size_t i = 0; i < workers; ++i)
    if (Fiber* fiber = steal_aged_lifo(workers_[i])) return fiber;
  return nullptr;
}

// The slot is for the direct hand-over between two fibers. So a thief takes it only from a worker
// that has run the same fiber since the thief last looked, one watch ago. (Tokio made the slot
// stealable at once and lost 20 to 32 %.)
Fiber* Worker::steal_aged_lifo(Worker& victim) noexcept {
  if (&victim == this || victim.lifo_.load(base::kRelaxed) == nullptr) return nullptr;
  const std::uint32_t tick = victim.published_tick_.load(base::kRelaxed);
  if (std::exchange(seen_ticks_[victim.index_], tick) != tick) return nullptr;
  return steal_lifo_from(victim);
}

// Before a worker runs a fiber, the last searcher, or the watcher, hands its role on.
void Worker::stop_searching() noexcept {
  bool hands_on = std::exchange(gave_up_watch_, false);
  // P5: other workers slept on while we slept in our site. They could not know that we would be
  // busy.
  if (std::exchange(was_idle_, false) && has_inflight()) hands_on |= workers_.lacks_watcher();
  if (std::exchange(is_searching_, false)) hands_on |= workers_.idle().end_search();
  if (hands_on) workers_.notify_one();
}

// --- making fibers runnable ----------------------------------------------------------------------

void Worker::overflow(std::span<Fiber*> batch) noexcept {
  metrics_.overflows.add();
  workers_.injector().push(batch, index_);
}

void Worker::push(Fiber& fiber) noexcept {
  Fiber* one = &fiber;
  if (fiber.home != nullptr) fiber.home->submit_pinned(fiber);
  else if (chaos_.strikes(2)) overflow(std::span(&one, 1));
  else queue_.push(&fiber, [this](std::span<Fiber*> batch) { overflow(batch); });
}

void Worker::submit(Fiber& fiber) noexcept {
  if (fiber.home != nullptr || options_.lifo == 0 || chaos_.strikes(2)) {
    push(fiber);
    workers_.notify_one();
    return;
  }
  if (Fiber* displaced = lifo_.exchange(&fiber, base::kSeqCst)) {
    push(*displaced);
    workers_.notify_one();
  } else {
    ensure_watcher();  // a watcher must be able to rescue the slot
  }
}

void Worker::ensure_watcher() noexcept {
  if (workers_.size() == 1 || !workers_.lacks_watcher()) return;
  if (workers_.idle().has_sleepers()) workers_.notify_one();
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
    workers_.injector().push(std::span(chunk).subspan(kept, n - kept), index_);
    is_outside = true;
  }
  if (workers_.size() == 1) return;
  const bool is_eager = !options_.lazy_notify && total > 1;
  if (is_eager || is_outside || workers_.lacks_watcher()) workers_.notify_one();
}

void Worker::submit_pinned(Fiber& fiber) noexcept {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(fiber);
    inbox_size_.fetch_add(1, base::kSeqCst);
  }
  if (current_worker() != this) unpark();
}

// A fiber that yields continues after a look at the driver. Until then it stands in the queue,
// where other workers can take it: the next fiber may compute for long.
void Worker::requeue(Fiber& fiber) noexcept {
  if (!first_yielder_) first_yielder_ = queue_.end();
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
  *current_slot_ = &fiber;
  running_since_.store(clock_.load(base::kRelaxed), base::kRelaxed);
  running_.store(&fiber, base::kRelease);
  switch_in(context_, fiber.context, *fiber.stack);
  *current_slot_ = nullptr;
  running_.store(nullptr, base::kRelaxed);
  if (is_copy_) [[unlikely]]
    refuse_copy();
  chaos_.stumble();
  // F1: nobody else could run it before this point
  switch (fiber.switch_reason.load(base::kRelaxed)) {
    case SwitchReason::parking:
      fiber.parked_at.store(clock_.load(base::kRelaxed), base::kRelaxed);
      if (fiber.word.commit() == FiberWord::Commit::parked) return;
      push(fiber);
      ensure_watcher();
      return;
    case SwitchReason::yielding:
      metrics_.yields.add();
      requeue(fiber);
      return;
    case SwitchReason::ended: finish(fiber); return;
  }
}

// Whatever the fiber waits for next, it comes to refuse_copy().
void Worker::become_copy() noexcept {
  is_copy_ = true;
  units_left_ = 0;
  if (*current_slot_ != nullptr) (*current_slot_)->budget.store(1, base::kRelaxed);
}

// Without its own stack a fiber does not run its body. The destructor of its closure may wait, so
// it never runs as a part of the worker's loop. It gets a stack of the usual size; if there is
// none, a thread of the pool; if there is none either (or the pool has ended), this thread, which
// then waits as a plain thread does.
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
  // Also if it is not linked: a wheel that is firing it may put it back.
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
  if (blocks_.is_empty() && !scheduler_.slab().withdraw(blocks_, kBlockCache / 2)) return nullptr;
  metrics_.created.add();
  return blocks_.pop_front();
}

void Worker::give_block_back(Fiber& fiber) noexcept {
  metrics_.recycled.add();
  blocks_.push_back(fiber);
  if (blocks_.size() <= kBlockCache) return;
  FiberList surplus;
  while (blocks_.size() > kBlockCache / 2) surplus.push_back(*blocks_.pop_front());
  scheduler_.slab().deposit(surplus);
}

}  // namespace ramie::inline v0::sched
