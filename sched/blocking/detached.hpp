// Calls that may hang and that nobody can interrupt, such as getaddrinfo(). No caller has to wait
// for their end.
//
// A DetachedCall owns all the memory that it touches. Its caller may give up at any time: a call
// that has not begun leaves the queue at once; one that runs continues alone, and its result is
// dropped. The threads belong to the process, not to a runtime, so the end of a runtime does not
// affect them. They are few: 600 calls that hang take nothing from the blocking pool.
//
//   perform()   queue; wait -> done: the result is there
//                           -> the wait was ended: leaves the queue, or the call to its thread
//   a thread    take; run(); done, wake; next      ends after ten idle seconds
//
// A thread waits without a call that is reserved for it: as many calls as there are waiting threads
// may stand in the queue before another thread is started.
//
// Rejected: jobs of the blocking pool with a limit of their own. Their blocks belong to a runtime,
// whose end would have to wait for the resolver or leak everything.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"
#include "sched/base/thread.hpp"
#include "sched/waiter.hpp"

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ramie::inline v0::sched {

// Made by `new`. Its maker has the first reference; the queue, and then a thread, has another.
class DetachedCall : public base::Link {
 public:
  DetachedCall() = default;
  DetachedCall(const DetachedCall&) = delete;
  DetachedCall& operator=(const DetachedCall&) = delete;

  // Runs on a thread of its own. The caller may be gone.
  virtual void run() noexcept = 0;
  // For dumps: "localhost".
  virtual std::string describe() const { return {}; }

  struct Release {
    void operator()(DetachedCall* call) const noexcept { call->release(); }
  };

 protected:
  virtual ~DetachedCall() = default;

 private:
  friend class DetachedCalls;
  void retain() noexcept { references_.fetch_add(1, base::kRelaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, base::kAcqRel) == 1) delete this;
  }

  base::Atomic<std::uint32_t> references_{1};
  base::Mutex mutex_;
  WaiterList waiters_;
  base::Plain<bool> is_done_ = false;
};

class DetachedCalls {
 public:
  DetachedCalls(std::size_t max_threads, base::Nanos keep_alive) noexcept;
  // For the models: waits until all threads have gone.
  ~DetachedCalls();
  DetachedCalls(const DetachedCalls&) = delete;
  DetachedCalls& operator=(const DetachedCalls&) = delete;

  // Runs the call on one of our threads and waits for it, as a fiber or a plain thread. Errors:
  // resource_unavailable_try_again if there is no thread; else the reason why the wait was ended.
  Result<void> perform(DetachedCall& call) noexcept;

  std::size_t threads() const noexcept;
  std::size_t queued() const noexcept;

  // The process's own, for name lookups. Its threads end by themselves. A forked child has its own.
  static DetachedCalls& of_process();
  // The number of its threads that wait for a call, and so wake nobody.
  static std::size_t idle_in_process() noexcept;

 private:
  std::error_code submit(DetachedCall& call) noexcept;
  void withdraw(DetachedCall& call) noexcept;
  bool start_thread() noexcept;
  void run() noexcept;
  DetachedCall* take() noexcept;
  static void finish(DetachedCall& call) noexcept;

  const std::size_t max_threads_;
  const base::Nanos keep_alive_;
  const std::uint32_t fork_number_;
  DetachedCalls* parents_ = nullptr;  // the number of the process that made this (fork.hpp)
  mutable base::ThreadMutex mutex_;
  base::ThreadCondvar call_came_;
  base::List<DetachedCall> queue_;
  std::size_t queued_ = 0;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;                // of these, those that wait
  base::Atomic<std::size_t> alive_{0};  // threads that still touch this object
};

}  // namespace ramie::inline v0::sched
