// See ramie/sync/condvar.hpp. A waiter whose wait was ended by a hidden cancel while it was being
// notified returns as if it had been: nobody else may have got that notification.
#include <ramie/sync/condvar.hpp>

#include "sched/sync/line.hpp"

namespace ramie {
inline namespace v0 {
namespace sync {

using sched::Line;

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
  auto by = Line::of(line_).wait(wait, announce, on_linked);
  if (!lock.owns_lock()) lock.lock();
  if (!by) return failure(by.error());
  return {};
}

void Condvar::notify_one_slow() noexcept {
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  const std::lock_guard lock(line.mutex);
  (void)line.serve_one(wakes, Line::kServed, Line::kTold);
  if (line.waiters.is_empty()) has_waiters_.store(false, base::kRelaxed);
}

void Condvar::notify_all_slow() noexcept {
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  const std::lock_guard lock(line.mutex);
  line.serve_all(wakes, Line::kServed, Line::kTold);
  has_waiters_.store(false, base::kRelaxed);
}

}  // namespace sync
}  // namespace v0
}  // namespace ramie
