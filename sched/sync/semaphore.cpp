// See ramie/sync/semaphore.hpp. Whoever leaves the line lets those behind it in: it may have been
// the big request that held them up.
//
// Whoever serves the line leaves WAITERS on, even if nobody stands in it any more: so the next to
// take a permit passes the lock, and may destroy us, because the one who gave it is out by then.
#include <ramie/sync/semaphore.hpp>

#include "sched/sync/line.hpp"

namespace ramie {
inline namespace v0 {
namespace sync {

using sched::Line;

Semaphore::Taken Semaphore::take(std::uint64_t n) noexcept {
  std::uint64_t word = word_.load(base::kAcquire);
  for (;;) {
    if ((word & kClosed) != 0) return Taken::closed;
    if ((word & kWaiters) != 0) return Taken::line;
    if ((word >> kShift) < n) return Taken::no;
    const std::uint64_t next = word - (n << kShift);
    if (word_.compare_exchange_weak(word, next, base::kAcquire, base::kAcquire)) return Taken::yes;
  }
}

// Under the line's lock. No: WAITERS is on, and the caller may stand in line.
Semaphore::Taken Semaphore::take_or_queue(std::uint64_t n, bool stands_first) noexcept {
  const bool is_empty = Line::of(line_).waiters.is_empty();
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

// One function with what it calls: 46 instructions less (ping-pong, callgrind).
[[gnu::flatten]] Result<void> Semaphore::acquire(std::uint64_t n) noexcept {
  sched::Wait wait(sched::WaitKind::semaphore, this);
  if (auto entered = wait.enter(); !entered) return entered;
  return acquire(wait, n);
}

Result<void> Semaphore::acquire(sched::Wait& wait, std::uint64_t n) noexcept {
  Taken taken = take(n);
  if (taken == Taken::no || taken == Taken::line) {
    bool has_stood = false;  // asked again after that: we were first, and have been passed over
    const auto is_ready = [&] { return (taken = take_or_queue(n, has_stood)) != Taken::no; };
    auto by = Line::of(line_).wait(wait, is_ready, [&] { has_stood = true; }, n);
    if (!by || (*by == Line::kReady && has_stood)) serve(0);
    if (!by) return failure(by.error());
    if (*by != Line::kReady) taken = *by == Line::kClosed ? Taken::closed : Taken::yes;
  }
  if (taken == Taken::yes) return {};
  const std::lock_guard lock(Line::of(line_).mutex);  // close() is out
  return failure(errc::closed);
}

bool Semaphore::try_acquire(std::uint64_t n) noexcept {
  if (const Taken taken = take(n); taken != Taken::line) return taken == Taken::yes;
  Line& line = Line::of(line_);
  const std::lock_guard lock(line.mutex);
  return line.waiters.is_empty() && take_or_queue(n, false) == Taken::yes;
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

// Adds `released`, then gives as many of those in line what they ask for as permits suffice. One
// that a cancel was faster with keeps its place: it comes and takes, or leaves and calls us again.
void Semaphore::serve(std::uint64_t released) noexcept {
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  const std::lock_guard lock(line.mutex);
  const std::uint64_t word = word_.fetch_or(kWaiters, base::kAcqRel);  // now it is ours
  std::uint64_t permits = (word >> kShift) + released;
  RAMIE_CHECK(permits <= kMaxPermits, "a Semaphore got more than 2^61 - 1 permits");
  while (!line.waiters.is_empty() && line.waiters.front()->amount <= permits) {
    sched::Waiter& first = *line.waiters.front();
    if (!line.serve(wakes, first, Line::kServed, Line::kPassedOver)) break;
    line.waiters.erase(first);
    permits -= first.amount;
  }
  word_.store((permits << kShift) | kWaiters | (word & kClosed), base::kRelease);
}

void Semaphore::close() noexcept {
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  const std::lock_guard lock(line.mutex);
  word_.fetch_or(kClosed, base::kAcqRel);
  line.serve_all(wakes, Line::kClosed, Line::kPassedOver);
}

void Semaphore::refuse(std::uint64_t permits) noexcept {
  base::fatal("a Semaphore of %llu permits: at most 2^61 - 1",
              static_cast<unsigned long long>(permits));
}

}  // namespace sync
}  // namespace v0
}  // namespace ramie
