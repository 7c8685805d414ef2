// Calls that may hang and that nobody can interrupt, such as getaddrinfo(): nobody has to wait for
// their end.
//
// A DetachedCall owns all the memory that it touches. Its caller may give up at any time: a call
// that has not begun leaves the queue at once, one that runs goes on alone and its result is
// dropped. The threads are the process's, not a runtime's, so no end of a runtime meets them, and
// they are few: 600 calls that hang take nothing from the blocking pool.
//
//   perform()   queue; wait -> done: the result is there
//                           -> the wait was ended: out of the queue, or left to its thread
//   a thread    take; run(); done, wake; next      gone after ten idle seconds
//
// A thread waits with no call promised to it: as many calls as threads that wait may stand in the
// queue before another thread is started.
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

namespace ramie {
inline namespace v0 {
namespace sched {

// Made by new. Whoever made it has the first reference, the queue and then a thread another.
class DetachedCall : public base::Link {
 public:
  DetachedCall() = default;
  DetachedCall(const DetachedCall&) = delete;
  DetachedCall& operator=(const DetachedCall&) = delete;

  // On a thread of its own; the caller may be gone.
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

  // Runs the call on one of our threads and waits for it, as a fiber or a plain thread.
  // resource_unavailable_try_again if there is no thread; else why the wait was ended.
  Result<void> perform(DetachedCall& call) noexcept;

  std::size_t threads() const noexcept;
  std::size_t queued() const noexcept;

  // The process's, for look-ups; its threads end by themselves. A forked child has its own.
  static DetachedCalls& of_process();
  // Of its threads, those that wait for a call: they wake nobody.
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
  DetachedCalls* parents_ = nullptr;  // of the process that forked us: kept, never used
  mutable base::ThreadMutex mutex_;
  base::ThreadCondvar call_came_;
  base::List<DetachedCall> queue_;
  std::size_t queued_ = 0;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;                // of these, they wait
  base::Atomic<std::size_t> alive_{0};  // threads that still touch us
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
