// What a worker may sleep on instead of a futex. io::Driver implements it, so this layer does not
// depend on io.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/waiter.hpp"

namespace ramie::inline v0::sched {

class Driver {
 public:
  virtual ~Driver() = default;

  // Waits for events at most `max_wait` (negative: for ever), publishes all of them, and appends
  // the fibers that they woke to `out`, which then belong to the caller. Only the holder of the
  // shard's baton calls this.
  virtual void turn(base::Nanos max_wait, FiberList& out) noexcept = 0;
  // Makes the turn() in progress, or else the next one, return at once. Any thread may call it.
  virtual void unpark() noexcept = 0;
  // A descriptor that is readable when a turn would find something, for a holder of the baton that
  // sleeps elsewhere. -1: there is none.
  virtual int poll_fd() const noexcept { return -1; }
};

}  // namespace ramie::inline v0::sched
