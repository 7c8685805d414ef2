// How a scheduler creates, counts, recycles and cancels fibers. Nothing here needs a worker thread,
// so the model checker compiles this file, too. See scheduler.hpp.
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/current.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"

namespace ramie::inline v0::sched {

// --- control blocks ------------------------------------------------------------------------------

Fiber* Scheduler::create(const detail::TaskOps& ops, const SpawnOptions& options,
                         const void* spawned_at, std::error_code& error) noexcept {
  if (is_shutting_down()) {
    error = errc::shutting_down;
    return nullptr;
  }
  Worker* worker = own_worker();
  FiberList one;
  if (worker == nullptr) (void)slab_.withdraw(one, 1);
  Fiber* fiber = worker == nullptr ? one.pop_front() : worker->take_block();
  if (fiber == nullptr) {
    error = std::make_error_code(std::errc::not_enough_memory);
    return nullptr;
  }
  fiber->id = worker == nullptr ? new_fiber_ids(1) : worker->take_id();
  fiber->spawned_at = spawned_at;
  fiber->set_name(options.name);
  fiber->scheduler = this;
  fiber->stack_size = options.stack_size;
  fiber->home = options.pinned
                    ? &workers_[next_home_.fetch_add(1, base::kRelaxed) % workers_.size()]
                    : nullptr;
  fiber->skip_body = false;
  fiber->cancel = {};
  fiber->group = nullptr;
  fiber->waits_for.store(WaitKind::none, base::kRelaxed);
  fiber->ops = &ops;
  fiber->outcome.store(detail::Outcome::none, base::kRelaxed);
  fiber->error = {};
  fiber->result_flags.store(0, base::kRelaxed);
  fiber->join_flags.store(0, base::kRelaxed);
  fiber->word.reset();
  if (worker == nullptr) {
    spawned_outside_.fetch_add(1, base::kSeqCst);
    blocks_outside_.fetch_add(1, base::kRelaxed);
  }
  fiber->references.store(2, base::kSeqCst);
  // Step 1 sets the flag, then walks the blocks. Either it sees our block, or we see its flag.
  if (!is_shutting_down()) return fiber;
  if (worker != nullptr) {  // its fiber is alive, so the workers are
    (void)fiber->word.request(FiberWord::kShutdown);
    return fiber;
  }
  abandon(*fiber);
  error = errc::shutting_down;
  return nullptr;
}

void Scheduler::abandon(Fiber& fiber) noexcept {
  fiber.word.finish();
  on_ended();
  fiber.release();
  fiber.release();
}

void Scheduler::recycle(Fiber& fiber) noexcept {
  const base::TsanInternal internal;
  if (Worker* worker = own_worker()) {
    worker->give_block_back(fiber);
    return;
  }
  // In a forked child another thread may have held the lock, which is then never released. And the
  // blocks are the parent's.
  if (fork_number_ != fork_number()) return;
  FiberList one;
  one.push_back(fiber);
  slab_.deposit(one);
  if (blocks_outside_.fetch_sub(1, base::kAcqRel) == 1) delete this;
}

// All workers have ended, so their counts do not change.
void Scheduler::retire() noexcept {
  const base::TsanInternal internal;
  if (has_leaked()) return;
  while (submitters_outside_.load(base::kSeqCst) != 0) base::yield_thread();
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const WorkerMetrics& one = workers_[i].metrics();
    taken += static_cast<std::int64_t>(one.created.get() - one.recycled.get());
  }
  if (blocks_outside_.fetch_add(taken - kNotRetired, base::kAcqRel) + taken - kNotRetired == 0)
    delete this;
}

Worker* Scheduler::own_worker() const noexcept {
  Worker* worker = current_worker();
  return worker != nullptr && &worker->scheduler() == this ? worker : nullptr;
}

std::uint64_t Scheduler::spawned() const noexcept {
  std::uint64_t sum = spawned_outside_.load(base::kSeqCst);
  for (std::size_t i = 0; i < workers_.size(); ++i) sum += workers_[i].metrics().created.get();
  return sum;
}

// Reads the ended ones first, so the difference is never too small.
std::int64_t Scheduler::live() const noexcept {
  std::uint64_t ended = ended_outside_.load(base::kSeqCst);
  for (std::size_t i = 0; i < workers_.size(); ++i) ended += workers_[i].metrics().finished.get();
  return static_cast<std::int64_t>(spawned() - ended);
}

void Scheduler::on_ended() noexcept {
  if (Worker* worker = own_worker()) worker->count_finished();
  else ended_outside_.fetch_add(1, base::kSeqCst);
  // No fence: a waiter that missed the count looks again after a while.
  if (!is_shutting_down()) return;
  ended_signal_.fetch_add(1, base::kSeqCst);
  base::sys::futex_wake(&ended_signal_, 1);
}

void Scheduler::give_up() noexcept {
  for_each_fiber([](Fiber& fiber) {
    if ((fiber.join_flags.load(base::kAcquire) & Fiber::kRoot) != 0) fiber.leave_behind();
  });
}

// --- shutdown, step 1 ----------------------------------------------------------------------------

void Scheduler::cancel_all() noexcept {
  for_each_fiber([](Fiber& fiber) {
    WakeList wakes;
    wakes.request(fiber, FiberWord::kShutdown);
  });
}

}  // namespace ramie::inline v0::sched
