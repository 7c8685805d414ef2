// See pool.hpp.
#include "sched/blocking/pool.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"
#include "sched/fiber_main.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"

#include <system_error>

namespace ramie::inline v0::sched {

// `queue_next` is the scheduler's, too: see FiberList.
RAMIE_NO_TSAN void JobQueue::push_back(Fiber& job) noexcept {
  job.queue_next = nullptr;
  job.queue_prev = tail_ == nullptr ? &job : tail_;  // the first job points to itself
  if (tail_ == nullptr) head_ = &job;
  else tail_->queue_next = &job;
  tail_ = &job;
  ++size_;
}

RAMIE_NO_TSAN bool JobQueue::erase(Fiber& job) noexcept {
  if (job.queue_prev == nullptr) return false;
  Fiber* before = job.queue_prev == &job ? nullptr : job.queue_prev;
  Fiber* after = job.queue_next;
  if (before == nullptr) head_ = after;
  else before->queue_next = after;
  if (after == nullptr) tail_ = before;
  else after->queue_prev = before == nullptr ? after : before;
  job.queue_next = job.queue_prev = nullptr;
  --size_;
  return true;
}

Fiber* JobQueue::pop_front() noexcept {
  Fiber* first = head_;
  if (first != nullptr) (void)erase(*first);
  return first;
}

BlockingPool::BlockingPool(Scheduler& scheduler, std::size_t max_threads,
                           base::Nanos keep_alive) noexcept
    : scheduler_(scheduler),
      max_threads_(max_threads),
      keep_alive_(keep_alive),
      fork_number_(fork_number()) {}

BlockingPool::~BlockingPool() { (void)shut_down(base::now()); }

bool BlockingPool::start_thread() noexcept {
  try {
    threads_.emplace_front();
    *threads_.begin() = base::start_thread([this, self = threads_.begin()] { run(self); });
    return true;
  } catch (const std::system_error&) {
    threads_.pop_front();
  } catch (const std::bad_alloc&) {
    if (!threads_.empty() && !threads_.front().joinable()) threads_.pop_front();
  }
  return false;
}

void BlockingPool::submit(Fiber& job) noexcept {
  std::error_code error;
  job.waits_for.store(WaitKind::blocking, base::kRelaxed);
  {
    const std::lock_guard lock(mutex_);
    if (is_shut_down_) {
      // No error: it ends like the jobs that were queued a moment ago.
    } else if (idle_ > 0) {
      jobs_.push_back(job);
      --idle_;
      ++promised_;
      job_came_.notify_one();
      return;
    } else if (threads_.size() < max_threads_ && !start_thread() && threads_.empty()) {
      error = std::make_error_code(std::errc::resource_unavailable_try_again);
    } else {
      jobs_.push_back(job);
      return;
    }
  }
  end_unrun(job, error);
}

void BlockingPool::cancel(Fiber& job) noexcept {
  {
    WakeList wakes;  // it may be a fiber by now, and wait in the destructor of its closure
    wakes.request(job, FiberWord::kCancel);
  }
  {
    const std::lock_guard lock(mutex_);
    if (!jobs_.erase(job)) return;
    job.waits_for.store(WaitKind::none, base::kRelaxed);
  }
  const base::TsanInternal internal;
  job.scheduler->submit(job);
}

// Counted under the mutex. A shutdown that finds no running and no queued job needs no deadline for
// the idle threads.
Fiber* BlockingPool::take_job() noexcept {
  Fiber* job = jobs_.pop_front();
  if (job != nullptr) running_.fetch_add(1, base::kSeqCst);
  return job;
}

// Null: the thread should end.
Fiber* BlockingPool::wait_for_job(std::unique_lock<base::ThreadMutex>& lock) {
  if (Fiber* job = take_job()) return job;
  if (is_shut_down_) return nullptr;
  ++idle_;
  const base::Instant until = base::saturating_add(base::now(), keep_alive_);
  for (;;) {
    const bool has_timed_out = job_came_.wait_until(lock, until) == std::cv_status::timeout;
    if (promised_ > 0) {
      --promised_;
      if (Fiber* job = take_job()) return job;
      if (is_shut_down_) return nullptr;
      ++idle_;
      continue;
    }
    if (is_shut_down_ || has_timed_out) {
      --idle_;
      return nullptr;
    }
  }
}

void BlockingPool::run(Threads::iterator self) noexcept {
  base::sys::name_thread("ramie-blocking");
  // Not to the CPU of the worker that started it.
  base::sys::pin_thread(scheduler_.options().blocking_cpus);
  exchange_entered(&scheduler_);
  std::unique_lock lock(mutex_);
  while (Fiber* job = wait_for_job(lock)) {
    lock.unlock();
    run_job(*job);
    lock.lock();
  }
  // We join the threads that ended before us. So no thread stays unjoined, and no thread joins
  // itself.
  Threads before;
  if (has_left_threads_) {
    threads_.erase(self);
  } else {
    before.splice(before.begin(), gone_);
    gone_.splice(gone_.begin(), threads_, self);
  }
  thread_ended_.notify_all();
  lock.unlock();
  for (base::Thread& thread : before) thread.join();
}

void BlockingPool::drop_unrun(Fiber& job) noexcept {
  job.ops->drop_closure(job.storage);
  job.outcome.store(job.error ? detail::Outcome::error : detail::Outcome::canceled, base::kRelaxed);
}

void BlockingPool::run_job(Fiber& job) noexcept {
  const std::uint64_t cancel_bits = job.word.cancel_bits();
  base::tsan_acquire(job.wake_edge());
  base::tsan_acquire(job.end_edge());  // of the task that had the block before
  if ((cancel_bits & FiberWord::kCancel) != 0 || job.skip_body) {
    drop_unrun(job);
  } else {
    run_body(job);
  }
  if (fork_number_ != fork_number()) refuse_copy();
  publish_result(job);
  job.word.finish();
  running_.fetch_sub(1, base::kSeqCst);  // before end_task(), which counts it as ended
  const base::TsanInternal internal;     // as on a worker: the block goes to its next task
  end_task(job);
}

void BlockingPool::end_unrun(Fiber& job, std::error_code error) noexcept {
  base::tsan_acquire(job.wake_edge());
  base::tsan_acquire(job.end_edge());
  if (!job.error) job.error = error;
  drop_unrun(job);
  publish_result(job);
  job.word.finish();
  const base::TsanInternal internal;
  end_task(job);
}

void BlockingPool::cancel_queued() noexcept {
  // It is in no queue any more, so a cancel that comes now finds nothing to take out.
  FiberList unrun;
  {
    const std::lock_guard lock(mutex_);
    is_shut_down_ = true;
    while (Fiber* job = jobs_.pop_front()) unrun.push_back(*job);
    job_came_.notify_all();
  }
  while (Fiber* job = unrun.pop_front()) end_unrun(*job, {});
}

bool BlockingPool::shut_down(base::Instant deadline) noexcept {
  cancel_queued();
  std::unique_lock lock(mutex_);
  const auto all_gone = [this] { return threads_.empty(); };
  bool has_ended = all_gone();
  if (!has_ended && deadline != base::kNever)
    has_ended = thread_ended_.wait_until(lock, deadline, all_gone);
  // A thread without a job only has to wake up and end, so it needs no deadline.
  if (!has_ended && (running() == 0 || deadline == base::kNever)) {
    thread_ended_.wait(lock, all_gone);
    has_ended = true;
  }
  has_left_threads_ = !has_ended;
  for (base::Thread& thread : threads_) thread.detach();
  Threads gone;
  gone.splice(gone.begin(), gone_);
  lock.unlock();
  for (base::Thread& thread : gone) thread.join();
  return has_ended;
}

std::size_t BlockingPool::threads() const noexcept {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

std::size_t BlockingPool::queued() const noexcept {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

}  // namespace ramie::inline v0::sched
