// Threads for calls that must block: started on demand, up to a limit, gone after ten idle seconds.
//
// One FIFO of intrusive jobs (control blocks) under one mutex. `idle_` counts threads that wait and
// were not promised a job yet; it is lowered by whoever promises, not by the thread that wakes, so
// a spurious wake-up breaks no count.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/base/thread.hpp"
#include "sched/waiter.hpp"

#include <cstddef>
#include <list>
#include <mutex>

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;

class BlockingPool {
 public:
  BlockingPool(Scheduler& scheduler, std::size_t max_threads, base::Nanos keep_alive) noexcept;
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs the job on one of our threads, or only drops its closure if the body is to be skipped. If
  // there is no thread and none can be started, the job ends with an error.
  void submit(Fiber& job) noexcept;

  // Refuses new jobs; those that have not started end as cancelled.
  void cancel_queued() noexcept;
  // Does that, and gives running jobs until `deadline`. False: some still run, and their threads
  // are left behind.
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

  Scheduler& scheduler_;
  const std::size_t max_threads_;
  const base::Nanos keep_alive_;
  const std::uint32_t fork_number_;
  mutable base::ThreadMutex mutex_;
  base::ThreadCondvar job_came_;
  base::ThreadCondvar thread_ended_;
  FiberList jobs_;
  Threads threads_;  // running
  Threads gone_;     // ended, to be joined by the next to end
  std::size_t idle_ = 0;
  std::size_t promised_ = 0;  // wake-ups on their way
  bool is_shut_down_ = false;
  base::Atomic<std::size_t> running_{0};  // jobs
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
