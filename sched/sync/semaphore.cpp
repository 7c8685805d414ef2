// See ramie/sync/semaphore.hpp. A waiter that leaves the queue serves those behind it: it may have
// been the large request that held them up.
//
// The thread that serves the queue leaves WAITERS on, even if the queue is empty then. So the next
// taker of a permit passes the lock, and may destroy the semaphore, because the giver has left it
// by then.
#include <ramie/sync/semaphore.hpp>

#include "sched/sync/wait_queue.hpp"

namespace ramie::inline v0::sync {

using sched::WaitQueue;

Semaphore::Taken Semaphore::take(std::uint64_t n) noexcept {
  std::uint64_t word = word_.load(base::kAcquire);
  for (;;) {
    if ((word & kClosed) != 0) return Taken::closed;
    if ((word & kWaiters) != 0) return Taken::queue;
    if ((word >> kShift) < n) return Taken::no;
    const std::uint64_t next = word - (n << kShift);
    if (word_.compare_exchange_weak(word, next, base::kAcquire, base::kAcquire)) return Taken::yes;
  }
}

// Called under the queue's lock. No: WAITERS is on, and the caller may wait.
Semaphore::Taken Semaphore::take_or_queue(std::uint64_t n, bool stands_first) noexcept {
  const bool is_empty = WaitQueue::of(queue_).waiters.is_empty();
  std::uint64_t word = word_.load(base::kAcquire);
  for (;;) {
    if ((word & kClosed) != 0) return Taken::closed;
    const bool may_take = (is_empty || stands_first) && (word >> kShift) >= n;
    std::uint64_t next = may_take ? word - (n << kShift) : word;
    next = may_take && is_empty ? next & ~kWaiters : next | kWaiters;
    if (word_.compare_exchange_weak(word, next, base::kAcqRel, base::kAcquire))
      return may_take ? Taken::yes : Taken::no;
  }
}

// Compiled as one function with what it calls: 46 instructions less (ping-pong, callgrind).
[[gnu::flatten]] Result<void> Semaphore::acquire(std::uint64_t n) noexcept {
  sched::Wait wait(sched::WaitKind::semaphore, this);
  if (auto entered = wait.enter(); !entered) return entered;
  return acquire(wait, n);
}

Result<void> Semaphore::acquire(sched::Wait& wait, std::uint64_t n) noexcept {
  Taken taken = take(n);
  if (taken == Taken::no || taken == Taken::queue) {
    // asked again later: this waiter was the first and has been passed over
    bool has_stood = false;
    const auto is_ready = [&] { return (taken = take_or_queue(n, has_stood)) != Taken::no; };
    auto by = WaitQueue::of(queue_).wait(wait, is_ready, [&] { has_stood = true; }, n);
    if (!by || (*by == WaitQueue::kReady && has_stood)) serve(0);
    if (!by) return failure(by.error());
    if (*by != WaitQueue::kReady) taken = *by == WaitQueue::kClosed ? Taken::closed : Taken::yes;
  }
  if (taken == Taken::yes) return {};
  const std::lock_guard lock(WaitQueue::of(queue_).mutex);  // close() is out
  return failure(errc::closed);
}

bool Semaphore::try_acquire(std::uint64_t n) noexcept {
  if (const Taken taken = take(n); taken != Taken::queue) return taken == Taken::yes;
  WaitQueue& queue = WaitQueue::of(queue_);
  const std::lock_guard lock(queue.mutex);
  return queue.waiters.is_empty() && take_or_queue(n, false) == Taken::yes;
}

void Semaphore::release(std::uint64_t n) noexcept {
  RAMIE_CHECK(n <= kMaxPermits, "a Semaphore got more than 2^61 - 1 permits");
  std::uint64_t word = word_.load(base::kRelaxed);
  while ((word & kWaiters) == 0) {
    RAMIE_CHECK(n <= kMaxPermits - (word >> kShift), "a Semaphore got more than 2^61 - 1 permits");
    if (word_.compare_exchange_weak(word, word + (n << kShift), base::kRelease, base::kRelaxed))
      return;
  }
  serve(n);
}

// Adds `released`, then gives waiters what they ask for, as far as the permits suffice. If a cancel
// was faster with a waiter, it keeps its place: it comes and takes, or leaves and calls this again.
void Semaphore::serve(std::uint64_t released) noexcept {
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  const std::uint64_t word = word_.fetch_or(kWaiters, base::kAcqRel);  // now it is ours
  std::uint64_t permits = (word >> kShift) + released;
  RAMIE_CHECK(permits <= kMaxPermits, "a Semaphore got more than 2^61 - 1 permits");
  while (!queue.waiters.is_empty() && queue.waiters.front()->amount <= permits) {
    sched::Waiter& first = *queue.waiters.front();
    if (!queue.serve(wakes, first, WaitQueue::kServed, WaitQueue::kPassedOver)) break;
    queue.waiters.erase(first);
    permits -= first.amount;
  }
  word_.store((permits << kShift) | kWaiters | (word & kClosed), base::kRelease);
}

void Semaphore::close() noexcept {
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  word_.fetch_or(kClosed, base::kAcqRel);
  queue.serve_all(wakes, WaitQueue::kClosed, WaitQueue::kPassedOver);
}

void Semaphore::refuse(std::uint64_t permits) noexcept {
  base::fatal("a Semaphore of %llu permits: at most 2^61 - 1",
              static_cast<unsigned long long>(permits));
}

}  // namespace ramie::inline v0::sync
