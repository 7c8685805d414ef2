// See wait.hpp.
#include "sched/wait.hpp"

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/hold_check.hpp"
#include "sched/scheduler.hpp"
#include "sched/unwind.hpp"
#include "sched/worker.hpp"

#include <ramie/sync/wait_queue.hpp>

#include <algorithm>
#include <atomic>

namespace ramie::inline v0 {
namespace sched {

namespace {

constinit std::atomic<std::size_t> threads_in_waits{0};  // for reports; no protocol depends on it

[[maybe_unused]] const bool is_forgotten_in_children =
    base::sys::in_forked_child([]() noexcept { threads_in_waits.store(0, base::kRelaxed); });

[[noreturn, gnu::cold]] void refuse_to_block_worker() noexcept {
#if !defined(RAMIE_MODEL)
  if (is_in_signal_handler()) refuse_wait_in_handler();
#endif
  base::fatal(
      "a worker thread must not block: this wait runs on it, but in none of its fibers. Is it in a "
      "hook (on_thread_start, on_thread_stop)? Wait in a fiber");
}

// Code without stack probes had a frame larger than the guard, and may have overwritten other
// memory.
[[gnu::cold, gnu::noinline]] void refuse_overrun(const Fiber& fiber) noexcept {
  base::fatal(
      "fiber %lu '%s' has left its stack of %zu KiB, and the guard below it: the stacks of other "
      "fibers may be overwritten; spawn it with a larger stack_size, or raise RAMIE_STACK_SIZE, "
      "and compile with -fstack-clash-protection",
      static_cast<unsigned long>(fiber.id), fiber.name, fiber.stack->size() / 1024);
}

// Switches out of the fiber. Returns some time later, perhaps on another thread.
[[gnu::always_inline]] inline void switch_to_worker(Fiber& fiber, SwitchReason reason) noexcept {
  const void* frame = __builtin_frame_address(0);
  if (!base::kIsModel && reinterpret_cast<std::uintptr_t>(frame) < fiber.stack_low &&
      fiber.stack->is_overrun_at(frame)) [[unlikely]]
    refuse_overrun(fiber);
#if !defined(RAMIE_MODEL)
  if (HoldCheck::is_on()) [[unlikely]]
    HoldCheck::look_at_switch(fiber, reason == SwitchReason::parking ? "parks" : "yields");
#endif
  fiber.switch_reason.store(reason, base::kRelaxed);
  switch_out(fiber.context);
  base::tsan_acquire(fiber.wake_edge());
}

[[gnu::cold, gnu::noinline]] Result<void> ask_on_entry(Fiber& fiber) noexcept {
  auto asked = fiber.cancel.ask(fiber);
  if (!asked) note_fruitless(fiber);
  return asked;
}

// What every operation that may wait does first, once: it spends budget, and it is refused if the
// fiber was cancelled. `fiber` is null on a plain thread.
[[gnu::always_inline]] inline Result<void> begin_operation(Fiber* fiber,
                                                           FiberWord::Shield shield) noexcept {
  if (fiber == nullptr) [[unlikely]] {
    if (current_worker() != nullptr) [[unlikely]]
      refuse_to_block_worker();
    return {};
  }
  spend_budget(*fiber);
  if (shield == FiberWord::Shield::yes || fiber->word.cancel_bits() == 0) [[likely]]
    return {};
  return ask_on_entry(*fiber);
}

}  // namespace

Wait::Wait(WaitKind kind, const void* object, Shield shield) noexcept
    : sleeper_(current_sleeper()), kind_(kind), shield_(shield), object_(object) {}

Result<void> Wait::enter() noexcept {
  return begin_operation(is_thread() ? nullptr : &fiber(), shield_);
}

bool Wait::arm() noexcept {
  std::uint64_t known = 0;
  if (!is_thread()) {
    if (fiber().cancel.is_shielded()) known = FiberWord::kCancel | FiberWord::kShutdown;
    deadline_ = own_deadline_;
    if (shield_ == Shield::no) deadline_ = std::min(deadline_, fiber().cancel.deadline());
    fiber().timer.deadline.store(deadline_.time_since_epoch().count(), base::kRelaxed);
  }
  const FiberWord::Armed wait = sleeper_.word.arm(shield_, known);
  epoch_ = wait.epoch;
  if (!wait.armed) note_fruitless(fiber());
  is_armed_ = wait.armed;
  return wait.armed;
}

void Wait::bind(Waiter& waiter) noexcept {
  waiter.sleeper = &sleeper_;
  waiter.epoch = epoch_;
}

// ORDER(wheel-1): the word is armed before this reads `due`, which tells whether the wheel will
// look at the word in time. Returns false if the deadline has passed already.
bool Wait::arm_timer() noexcept {
  Fiber& self = fiber();
  TimerEntry& entry = self.timer;
  TimerSet& timers = self.scheduler->timers();
  const Tick due = timers.to_tick_up(deadline_);
  if (entry.due.load(base::kSeqCst) <= due) return true;
  if (deadline_ <= base::now()) return false;
  TimerWheel& wheel = timers.wheel(self.worker.load(base::kRelaxed)->index());
  // The wheel of the last wait may be firing the entry now, and put it back. After remove(), which
  // takes that wheel's lock, the entry is ours, whatever `due` says. insert() does the same for its
  // own wheel.
  TimerWheel* last = entry.wheel.load(base::kRelaxed);
  if (last != nullptr && last != &wheel) last->remove(entry);
  if (wheel.insert(entry, due)) self.scheduler->shards().notify_timer(due);
  return true;
}

std::uint8_t Wait::park() noexcept {
  is_armed_ = false;
  if (is_thread()) {
    park_thread();
    return sleeper_.word.claimed_by();
  }
  Fiber& self = fiber();
  if (deadline_ != base::kNever) {
    const base::TsanInternal internal;
    if (!arm_timer() && disarm()) return FiberWord::kByTimer;
  }
  if (self.word.is_armed()) {
    self.waits_on.store(object_, base::kRelaxed);
    self.waits_for.store(kind_, base::kRelaxed);
    switch_to_worker(self, SwitchReason::parking);
    self.waits_for.store(WaitKind::none, base::kRelaxed);
  }
  return self.word.claimed_by();
}

// The thread wakes itself.
bool Wait::end_thread_wait() noexcept {
  FiberWord& word = sleeper_.word;
  if (word.claim(epoch_, FiberWord::kByTimer) == FiberWord::Claim::lost) return false;
  on_thread_started();
  word.start();
  return true;
}

void Wait::park_thread() noexcept {
  FiberWord& word = sleeper_.word;
  if (word.commit() == FiberWord::Commit::queue) return;
  threads_in_waits.fetch_add(1, base::kRelaxed);
  for (;;) {  // until WakeList::fire() has started us
    const std::uint32_t value = word.futex_value();
    if (word.state() == FiberWord::kLive) break;
    base::Nanos limit(base::kTsanNap);
    if (own_deadline_ != base::kNever) {
      const base::Nanos left = own_deadline_ - base::now();
      if (left.count() > 0) {
        limit = limit.count() < 0 ? left : std::min(limit, left);
      } else if (end_thread_wait()) {
        break;
      }  // else another waker was faster, and is about to start us
    }
    (void)base::sys::futex_wait(word.futex(), value, limit);
    base::tsan_let_signals_in();
  }
}

std::size_t parked_threads() noexcept { return threads_in_waits.load(base::kSeqCst); }
void on_thread_started() noexcept { threads_in_waits.fetch_sub(1, base::kSeqCst); }

Result<void> Wait::verdict() noexcept {
  if (is_thread()) return {};
  if (is_over()) return {};
  return shield_ == Shield::yes ? Result<void>{} : fiber().cancel.ask(fiber());
}

void yield_fiber(Fiber& fiber) noexcept {
  switch_to_worker(fiber, SwitchReason::yielding);
  // A fiber that never waited sees a passed deadline here at the latest.
  if (const base::Instant deadline = fiber.cancel.deadline();
      deadline != base::kNever && deadline <= base::now())
    (void)fiber.word.request(FiberWord::kScope);
}

void spend_budget(Fiber& fiber) noexcept {
  const std::uint32_t left = fiber.budget.load(base::kRelaxed);
  if (left > 1) fiber.budget.store(left - 1, base::kRelaxed);
  else if (!fiber.worker.load(base::kRelaxed)->extend_budget(fiber)) yield_fiber(fiber);
}

void spend_budget_and_time(Fiber& fiber) noexcept {
  if (fiber.worker.load(base::kRelaxed)->is_slice_over()) yield_fiber(fiber);
  else spend_budget(fiber);
}

}  // namespace sched

namespace detail {

Result<void> enter_wait() noexcept {
  return sched::begin_operation(sched::current_fiber(), sched::FiberWord::Shield::no);
}

}  // namespace detail
}  // namespace ramie::inline v0
