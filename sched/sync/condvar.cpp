// See ramie/sync/condvar.hpp. If a hidden cancel ends a wait while its waiter is being notified,
// the wait returns as if it had been notified: perhaps nobody else got that notification.
#include <ramie/sync/condvar.hpp>

#include "sched/sync/wait_queue.hpp"

namespace ramie::inline v0::sync {

using sched::WaitQueue;

Result<void> Condvar::wait(std::unique_lock<Mutex>& lock) noexcept {
  RAMIE_CHECK(lock.owns_lock(),
              "Condvar::wait() with a std::unique_lock that does not own its Mutex: lock it first");
  sched::Wait wait(sched::WaitKind::condvar, this);
  if (auto entered = wait.enter(); !entered) return entered;
  const auto announce = [&] {
    has_waiters_.store(true, base::kRelease);
    return false;
  };
  const auto on_linked = [&] { lock.unlock(); };
  auto by = WaitQueue::of(queue_).wait(wait, announce, on_linked);
  if (!lock.owns_lock()) lock.lock();
  if (!by) return failure(by.error());
  return {};
}

void Condvar::notify_one_slow() noexcept {
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  (void)queue.serve_one(wakes, WaitQueue::kServed, WaitQueue::kTold);
  if (queue.waiters.is_empty()) has_waiters_.store(false, base::kRelaxed);
}

void Condvar::notify_all_slow() noexcept {
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  queue.serve_all(wakes, WaitQueue::kServed, WaitQueue::kTold);
  has_waiters_.store(false, base::kRelaxed);
}

}  // namespace ramie::inline v0::sync
