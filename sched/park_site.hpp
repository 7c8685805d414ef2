// A worker's own place to sleep, which may replace the futex: where its completions arrive. The
// worker's io_uring implements it, so this layer does not depend on uring.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/waiter.hpp"

namespace ramie::inline v0::sched {

class ParkSite {
 public:
  virtual ~ParkSite() = default;

  // Operations will complete here, so the worker must sleep here.
  virtual bool has_inflight() const noexcept = 0;
  // Sleeps until a completion, unpark_from_any_thread(), or `max_wait` (negative: for ever). With
  // `poll_fd` >= 0 it also returns when that descriptor (the shard's epoll) is readable. Only the
  // owner calls this.
  virtual void park(base::Nanos max_wait, int poll_fd) noexcept = 0;
  // After park() and reap(): nothing has come from `poll_fd`, and it will still wake park().
  virtual bool is_quiet(int poll_fd) const noexcept = 0;
  virtual void unpark_from_any_thread() noexcept = 0;
  // Appends the fibers whose operations are complete. Only the owner calls this.
  virtual void reap(FiberList& out) noexcept = 0;
  // The same, called by another worker because the owner does not come by. It never waits: while
  // the owner is here it does nothing.
  virtual void visit(FiberList& out) noexcept = 0;
};

}  // namespace ramie::inline v0::sched
