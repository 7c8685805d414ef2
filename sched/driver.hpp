// What a worker may sleep on instead of a futex: the inversion that keeps this layer below io.
// io::Driver implements it.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/waiter.hpp"

namespace ramie {
inline namespace v0 {
namespace sched {

class Driver {
 public:
  virtual ~Driver() = default;

  // Waits for events at most `max_wait` (negative: for ever), publishes all of them, and appends
  // the fibers that they woke to `out`; they are the caller's. Only the holder of the
  // shard's baton calls this.
  virtual void turn(base::Nanos max_wait, FiberList& out) noexcept = 0;
  // Makes the turn() in progress, or else the next one, return at once. Any thread.
  virtual void unpark() noexcept = 0;
  // Readable when a turn would find something: for whoever sleeps elsewhere with the baton. -1: no
  // such descriptor.
  virtual int poll_fd() const noexcept { return -1; }
  // Ends every wait with `shutting_down`, now and later.
  virtual void shut_down(FiberList& out) noexcept = 0;
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
