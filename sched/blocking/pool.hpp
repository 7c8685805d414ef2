// Threads for calls that must block. They are started on demand, up to a limit, and end after ten
// idle seconds.
//
// One FIFO of intrusive jobs (control blocks) under one mutex. `idle_` counts threads that wait and
// that no job is promised to. The thread that promises a job lowers it, not the thread that wakes
// up, so a spurious wake-up breaks no count.
//
// A job that is cancelled before it began leaves the queue at once and becomes a fiber, which drops
// the closure. The destructor of the closure may wait, and all threads of the pool may be busy for
// long.
//
//   queued --cancel()--> a fiber with its cancel bit on, which runs no body
//     |
//     +--wait_for_job()--> running --> ended       both take it under the mutex, so only one does
#pragma once

#include "sched/base/clock.hpp"
#include "sched/base/thread.hpp"
#include "sched/waiter.hpp"

#include <cstddef>
#include <list>
#include <mutex>

namespace ramie::inline v0::sched {

class Scheduler;

// First come, first served; any job may leave in between. The pool's mutex is held.
class JobQueue {
 public:
  void push_back(Fiber& job) noexcept;
  Fiber* pop_front() noexcept;
  // Returns false if it is not in the queue.
  bool erase(Fiber& job) noexcept;
  std::size_t size() const noexcept { return size_; }

 private:
  Fiber* head_ = nullptr;
  Fiber* tail_ = nullptr;
  std::size_t size_ = 0;
};

class BlockingPool {
 public:
  BlockingPool(Scheduler& scheduler, std::size_t max_threads, base::Nanos keep_alive) noexcept;
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs the job on one of the threads, or only drops its closure if the body is to be skipped. If
  // there is no thread and none can be started, the job ends with an error.
  void submit(Fiber& job) noexcept;

  // Cancels a job. If it has not begun, it leaves the queue and ends as a fiber. A job that runs
  // continues. The caller holds a reference.
  void cancel(Fiber& job) noexcept;

  // Refuses new jobs. Jobs that have not started end as cancelled.
  void cancel_queued() noexcept;
  // Does the same, and gives running jobs until `deadline`. Returns false if some still run; their
  // threads are left behind. It always waits for threads without a job, which end at once.
  bool shut_down(base::Instant deadline) noexcept;

  std::size_t threads() const noexcept;
  std::size_t running() const noexcept { return running_.load(base::kSeqCst); }
  std::size_t queued() const noexcept;

 private:
  using Threads = std::list<base::Thread>;

  void run(Threads::iterator self) noexcept;
  bool start_thread() noexcept;
  void run_job(Fiber& job) noexcept;
  static void drop_unrun(Fiber& job) noexcept;
  void end_unrun(Fiber& job, std::error_code error) noexcept;
  Fiber* wait_for_job(std::unique_lock<base::ThreadMutex>& lock);
  Fiber* take_job() noexcept;

  Scheduler& scheduler_;
  const std::size_t max_threads_;
  const base::Nanos keep_alive_;
  const std::uint32_t fork_number_;
  mutable base::ThreadMutex mutex_;
  base::ThreadCondvar job_came_;
  base::ThreadCondvar thread_ended_;
  JobQueue jobs_;
  Threads threads_;  // running
  Threads gone_;     // ended; the next thread that ends joins them
  std::size_t idle_ = 0;
  std::size_t promised_ = 0;  // wake-ups on their way
  bool is_shut_down_ = false;
  bool has_left_threads_ = false;         // they are detached, and nobody joins them
  base::Atomic<std::size_t> running_{0};  // jobs; raised under the mutex
};

}  // namespace ramie::inline v0::sched
