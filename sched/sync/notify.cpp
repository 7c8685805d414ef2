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
    if (state_.compare_exchange_weak(state, is_stored ? kEmpty : kWaiting, base::kAcqRel,
                                     base::kRelaxed))
      return is_stored;
  }
}

Result<void> Notify::wait() noexcept {
  sched::Wait wait(sched::WaitKind::notify, this);
  if (auto entered = wait.enter(); !entered) return entered;
  std::uint32_t stored = kStored;
  if (state_.compare_exchange_strong(stored, kEmpty, base::kAcqRel, base::kRelaxed)) return {};
  Line& line = Line::of(line_);
  auto by = line.wait(wait, [this] { return take_or_queue(); });
  if (by) return {};
  const std::lock_guard lock(line.mutex);
  std::uint32_t waiting = kWaiting;
  if (line.waiters.is_empty())
    state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
  return failure(by.error());
}

void Notify::notify_one() noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  // Also from kStored to kStored: whoever takes it must see what we did before.
  while (state != kWaiting)
    if (state_.compare_exchange_weak(state, kStored, base::kAcqRel, base::kRelaxed)) return;
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  {
    const std::lock_guard lock(line.mutex);
    if (!line.serve_one(wakes)) state_.store(kStored, base::kRelease);
    else if (line.waiters.is_empty()) state_.store(kEmpty, base::kRelease);
  }
  wakes.fire();
}

void Notify::notify_all() noexcept {
  if (state_.load(base::kAcquire) != kWaiting) return;
  Line& line = Line::of(line_);
  sched::WaiterList present;
  bool is_first = true;
  sched::serve_in_batches(line, [&](sched::WakeList& wakes) {
    if (std::exchange(is_first, false)) {
      present.splice_back(line.waiters);
      std::uint32_t waiting = kWaiting;
      state_.compare_exchange_strong(waiting, kEmpty, base::kAcqRel, base::kRelaxed);
    }
    return line.serve_all(wakes, present, Line::kServed, Line::kTold);
  });
}

}  // namespace sync
}  // namespace v0
}  // namespace ramie
