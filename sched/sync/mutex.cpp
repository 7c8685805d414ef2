// See ramie/sync/mutex.hpp.
//
//   unlock, somebody waits         the first waiter leaves the queue: LOCKED off, WOKEN on
//   unlock with WOKEN              LOCKED off: the woken waiter will try
//   the woken waiter finds LOCKED  goes to the front of the queue: WOKEN off, HANDOFF on
//   unlock with HANDOFF            the first waiter leaves the queue and owns: LOCKED stays,
//                                  HANDOFF off
//
// No wake is lost. WOKEN goes off in two ways only: its owner took the mutex, and its unlock then
// looks at the queue; or in the same step that puts the waiter back into the queue of a locked
// mutex.
//
// The step that turns LOCKED off is the last touch, so the next owner may destroy the mutex. If the
// queue's lock is left after that step, the woken waiter still has to pass this lock.
#include <ramie/sync/mutex.hpp>

#include "sched/scheduler.hpp"
#include "sched/sync/wait_queue.hpp"

namespace ramie::inline v0::sync {

using sched::WaitQueue;

namespace {

constexpr std::uint8_t kTry = WaitQueue::kServed;
constexpr std::uint8_t kOwns = 2;
constexpr int kSpins = base::kIsModel ? 1 : 32;

// An owner that runs on another core will be done in a moment. With one worker nobody else runs.
bool may_spin(sched::Wait& wait) noexcept {
  return wait.is_thread() || wait.fiber().scheduler->workers().size() > 1;
}

}  // namespace

// Called under the queue's lock. True: the caller owns the mutex. False: it is held, and its unlock
// will look at the queue, so the caller must wait there.
bool Mutex::take_or_queue(bool& is_woken) noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  for (;;) {
    const bool is_held = (state & kLocked) != 0;
    std::uint32_t next = is_woken ? state & ~kWoken : state;
    if (!is_held) next |= kLocked;
    else next |= kWaiters;
    if (is_held && is_woken) next |= kHandOff;
    if (!state_.compare_exchange_weak(state, next, base::kAcqRel, base::kRelaxed)) continue;
    is_woken = false;
    return !is_held;
  }
}

void Mutex::lock_slow() noexcept {
  sched::Wait wait(sched::WaitKind::mutex, this, sched::Wait::Shield::yes);
  (void)wait.enter();  // shielded: it only spends budget
  (void)lock_in_queue(wait);
}

Result<void> Mutex::lock_cancelable() noexcept {
  sched::Wait wait(sched::WaitKind::mutex, this);
  if (auto entered = wait.enter(); !entered) return entered;
  if (try_lock()) return {};
  auto locked = lock_in_queue(wait);
  if (locked) note_holder();
  return locked;
}

Result<void> Mutex::lock_in_queue(sched::Wait& wait) noexcept {
  if (may_spin(wait)) {
    for (int i = 0; i < kSpins; ++i) {
      if (try_lock()) return {};
      if ((state_.load(base::kRelaxed) & kHandOff) != 0) break;
      base::cpu_pause();
    }
  }
  WaitQueue& queue = WaitQueue::of(queue_);
  bool is_woken = false;
  WaitQueue::Seat seat = WaitQueue::Seat::back;
  for (;;) {
    auto by = queue.wait(wait, [&] { return take_or_queue(is_woken); }, [] {}, 0, seat);
    if (!by) {
      const std::lock_guard lock(queue.mutex);
      if (queue.waiters.is_empty()) state_.fetch_and(~(kWaiters | kHandOff), base::kRelaxed);
      return failure(by.error());
    }
    if (*by != kTry) return {};
    is_woken = true;
    seat = WaitQueue::Seat::front;
  }
}

void Mutex::unlock_slow() noexcept {
  std::uint32_t state = state_.load(base::kRelaxed);
  for (;;) {
    RAMIE_CHECK((state & kLocked) != 0,
                "unlock() of a Mutex that nobody holds: was it unlocked twice, or never locked?");
    if ((state & kWaiters) == 0 || (state & (kWoken | kHandOff)) == kWoken) {
      if (state_.compare_exchange_weak(state, state & ~kLocked, base::kRelease, base::kRelaxed))
        return;
      continue;
    }
    if (wake_first()) return;
    state = state_.load(base::kRelaxed);
  }
}

// Returns false if all waiters had been cancelled.
bool Mutex::wake_first() noexcept {
  WaitQueue& queue = WaitQueue::of(queue_);
  sched::WakeList wakes;
  {
    const std::lock_guard lock(queue.mutex);
    const bool hand_off = (state_.load(base::kRelaxed) & kHandOff) != 0;
    const bool is_served = queue.serve_one(wakes, hand_off ? kOwns : kTry);
    std::uint32_t off = kHandOff;
    if (queue.waiters.is_empty()) off |= kWaiters;
    if (is_served && !hand_off) {
      state_.fetch_or(kWoken, base::kRelaxed);
      off |= kLocked;
    }
    state_.fetch_and(~off, base::kRelease);
    if (!is_served) return false;
  }
  wakes.fire();
  return true;
}

}  // namespace ramie::inline v0::sync
