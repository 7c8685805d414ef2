// See ramie/sync/notify.hpp.
#include <ramie/sync/notify.hpp>

#include "sched/sync/line.hpp"

namespace ramie {
inline namespace v0 {
namespace sync {

using sched::Line;

// Under the line's lock. False: WAITING is on, and the caller stands in line.
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
  Line& line = Line::of(line_);
  auto by = line.wait(wait, [this] { return take_or_queue(); });
  if (by) return {};
  const std::lock_guard lock(line.mutex);
  std::uint32_t waiting = kWaiting;
  if (line.waiters.is_empty())
    state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
  return failure(by.error());
}

// A wait() that finds kStored passes no lock and may destroy us at once: storing is the last touch.
void Notify::notify_one() noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  for (;;) {
    // Also from kStored to kStored: whoever takes it must see what we did before.
    while (state != kWaiting)
      if (state_.compare_exchange_weak(state, kStored, base::kAcqRel, base::kRelaxed)) return;
    Line& line = Line::of(line_);
    sched::WakeList wakes;
    const std::lock_guard lock(line.mutex);
    const bool is_served = line.serve_one(wakes);
    if (line.waiters.is_empty() && state_.load(base::kRelaxed) == kWaiting)
      state_.store(kEmpty, base::kRelease);
    if (is_served) return;
    state = kEmpty;
  }
}

void Notify::notify_all() noexcept {
  if (state_.load(base::kAcquire) != kWaiting) return;
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  const std::lock_guard lock(line.mutex);
  line.serve_all(wakes, Line::kServed, Line::kTold);
  std::uint32_t waiting = kWaiting;
  state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
}

}  // namespace sync
}  // namespace v0
}  // namespace ramie
