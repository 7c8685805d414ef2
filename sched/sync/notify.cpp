// See ramie/sync/notify.hpp.
#include <ramie/sync/notify.hpp>

#include "sched/sync/wait_queue.hpp"

namespace ramie::inline v0::sync {

using sched::WaitQueue;

// Called under the queue's lock. False: WAITING is on, and the caller must wait.
bool Notify::take_or_queue() noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  for (;;) {
    const bool is_stored = state == kStored;
    const std::uint32_t next = is_stored ? kEmpty : kWaiting;
    if (state_.compare_exchange_weak(state, next, base::kAcqRel, base::kRelaxed)) return is_stored;
  }
}

Result<void> Notify::wait() noexcept {
  sched::Wait wait(sched::WaitKind::notify, this);
  if (auto entered = wait.enter(); !entered) return entered;
  std::uint32_t stored = kStored;
  if (state_.load(base::kRelaxed) == kStored &&
      state_.compare_exchange_strong(stored, kEmpty, base::kAcqRel, base::kRelaxed))
    return {};
  WaitQueue& queue = WaitQueue::of(queue_);
  auto by = queue.wait(wait, [this] { return take_or_queue(); });
  if (by) return {};
  const std::lock_guard lock(queue.mutex);
  std::uint32_t waiting = kWaiting;
  if (queue.waiters.is_empty())
    state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
  return failure(by.error());
}

// A wait() that finds kStored passes no lock and may destroy this object at once. So storing is the
// last touch.
void Notify::notify_one() noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  for (;;) {
    // Also from kStored to kStored: whoever takes it must see what its notifiers did before.
    while (state != kWaiting)
      if (state_.compare_exchange_weak(state, kStored, base::kAcqRel, base::kRelaxed)) return;
    WaitQueue& queue = WaitQueue::of(queue_);
    sched::WakeList wakes;
    const std::lock_guard lock(queue.mutex);
    const bool is_served = queue.serve_one(wakes);
    if (queue.waiters.is_empty() && state_.load(base::kRelaxed) == kWaiting)
      state_.store(kEmpty, base::kRelease);
    if (is_served) return;
    state = kEmpty;
  }
}

void Notify::notify_all() noexcept {
  if (state_.load(base::kAcquire) != kWaiting) return;
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  queue.serve_all(wakes, WaitQueue::kServed, WaitQueue::kTold);
  std::uint32_t waiting = kWaiting;
  state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
}

}  // namespace ramie::inline v0::sync
