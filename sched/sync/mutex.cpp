// See ramie/sync/mutex.hpp.
//
//   unlock, somebody in line      the first leaves the line: LOCKED off, WOKEN on
//   unlock with WOKEN             LOCKED off: the woken one will try
//   the woken one finds LOCKED    to the front of the line: WOKEN off, HANDOFF on
//   unlock with HANDOFF           the first leaves the line and owns: LOCKED stays, HANDOFF off
//
// No wake is lost: WOKEN goes off either because its owner took the mutex, whose unlock then looks
// at the line, or in the same step that puts it back into the line of a locked mutex.
//
// The step that turns LOCKED off is the last touch, so the next owner may destroy the mutex; or the
// line's lock is left afterwards, but then the woken one still has to pass that lock.
#include <ramie/sync/mutex.hpp>

#include "sched/scheduler.hpp"
#include "sched/sync/line.hpp"

namespace ramie {
inline namespace v0 {
namespace sync {

using sched::Line;

namespace {

constexpr std::uint8_t kTry = Line::kServed;
constexpr std::uint8_t kOwns = 2;
constexpr int kSpins = base::kIsModel ? 1 : 32;

// An owner that runs on another core is done in a moment; with one worker nobody else runs.
bool may_spin(sched::Wait& wait) noexcept {
  return wait.is_thread() || wait.fiber().scheduler->workers().size() > 1;
}

}  // namespace

// Under the line's lock. True: the mutex is ours. False: it is held, and its unlock will look at
// the line, in which we now have to stand.
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
  (void)lock_in_line(wait);
}

Result<void> Mutex::lock_cancelable() noexcept {
  sched::Wait wait(sched::WaitKind::mutex, this);
  if (auto entered = wait.enter(); !entered) return entered;
  if (try_lock()) return {};
  auto locked = lock_in_line(wait);
  if (locked) note_holder();
  return locked;
}

Result<void> Mutex::lock_in_line(sched::Wait& wait) noexcept {
  if (may_spin(wait)) {
    for (int i = 0; i < kSpins; ++i) {
      if (try_lock()) return {};
      if ((state_.load(base::kRelaxed) & kHandOff) != 0) break;
      base::cpu_pause();
    }
  }
  Line& line = Line::of(line_);
  bool is_woken = false;
  Line::Seat seat = Line::Seat::back;
  for (;;) {
    auto by = line.wait(wait, [&] { return take_or_queue(is_woken); }, [] {}, 0, seat);
    if (!by) {
      const std::lock_guard lock(line.mutex);
      if (line.waiters.is_empty()) state_.fetch_and(~(kWaiters | kHandOff), base::kRelaxed);
      return failure(by.error());
    }
    if (*by != kTry) return {};
    is_woken = true;
    seat = Line::Seat::front;
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

// False: all in line had been cancelled.
bool Mutex::wake_first() noexcept {
  Line& line = Line::of(line_);
  sched::WakeList wakes;
  {
    const std::lock_guard lock(line.mutex);
    const bool hand_off = (state_.load(base::kRelaxed) & kHandOff) != 0;
    const bool is_served = line.serve_one(wakes, hand_off ? kOwns : kTry);
    std::uint32_t off = kHandOff;
    if (line.waiters.is_empty()) off |= kWaiters;
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

}  // namespace sync
}  // namespace v0
}  // namespace ramie
