// A line of waiters: the inside of detail::WaitLine, and the one way to stand in it.
//
//   waiting side                                  serving side, under the lock
//   lock; is_ready()? arm, link; unlock           pop the first
//   park()                                        claim it: won? then, and only then, give
//   lock; unlock                                  lost (a cancel was faster): leave a mark, go on
//
// The last lock of the waiting side (needless if it had parked: waiter.hpp) is why a woken waiter
// may destroy the primitive: its waker has left the lock by then and touches nothing any more.
//
// A cancel that a Shield hides ends a wait, but concerns somebody else. Such a waiter keeps its
// place; if it was passed over meanwhile it was the first, and goes back to the front.
#pragma once

#include "sched/wait.hpp"

#include <ramie/sync/wait_line.hpp>

#include <mutex>
#include <utility>
#include <new>

namespace ramie {
inline namespace v0 {
namespace sched {

class Line {
 public:
  // Who ended a wait, beside FiberWord's own and whatever number the serving side claims with.
  static constexpr std::uint8_t kServed = 0;
  static constexpr std::uint8_t kClosed = 1;
  static constexpr std::uint8_t kReady = 253;  // is_ready() was true: there was no need to wait

  enum class Seat : bool { back, front };
  // What a waiter learns that was popped but could not be claimed.
  enum Mark : std::uint32_t { kNone, kPassedOver, kTold };

  static Line& of(detail::WaitLine& storage) noexcept {
    if (storage.made_.load(base::kAcquire) != detail::WaitLine::kDone) [[unlikely]]
      make(storage);
    return *std::launder(reinterpret_cast<Line*>(storage.space_));
  }
  static void destroy(detail::WaitLine& storage) noexcept;

  // Claims the first that can be claimed. Under the lock.
  bool serve_one(WakeList& wakes, std::uint8_t by = kServed, Mark mark = kPassedOver) noexcept {
    while (Waiter* waiter = waiters.pop_front())
      if (serve(wakes, *waiter, by, mark)) return true;
    return false;
  }
  // Claims all.
  void serve_all(WakeList& wakes, std::uint8_t by, Mark mark) noexcept {
    while (Waiter* waiter = waiters.pop_front()) (void)serve(wakes, *waiter, by, mark);
  }
  // `waiter` was popped, or is unlinked now if it was claimed.
  bool serve(WakeList& wakes, Waiter& waiter, std::uint8_t by, Mark mark) noexcept {
    if (wakes.claim(*waiter.sleeper, waiter.epoch, by)) return true;
    waiter.interest = mark;
    return false;
  }

  // Stands in line until served. `is_ready()` runs under the lock before we are linked, and again
  // when we have been passed over, linked or not; `on_linked` runs once, unlocked, between the
  // first link and the park. wait.enter() is the caller's. Returns who ended it. On an error the
  // caller tidies up what its is_ready() announced.
  template <class IsReady, class OnLinked>
  [[nodiscard]] Result<std::uint8_t> wait(Wait& wait, IsReady&& is_ready, OnLinked&& on_linked,
                                          std::uint64_t amount = 0,
                                          Seat seat = Seat::back) noexcept {
    Waiter waiter;
    waiter.amount = amount;
    bool was_linked = false;
    for (;;) {
      bool is_armed = false;
      {
        const std::lock_guard lock(mutex);
        if (waiter.interest == kTold) return kServed;
        const bool looks = !waiter.is_linked() || waiter.interest == kPassedOver;
        if (looks && is_ready()) {
          if (waiter.is_linked()) waiters.erase(waiter);
          return kReady;
        }
        is_armed = wait.arm();
        if (is_armed) take_place(wait, waiter, seat);
      }
      if (is_armed) {
        if (!std::exchange(was_linked, true)) on_linked();
        const std::uint8_t by = wait.park();
        if (by < FiberWord::kByTimer) {
          if (!wait.waker_is_out()) const std::lock_guard until_it_is(mutex);
          return by;
        }
      }
      if (auto ended = wait.verdict(); !ended) {
        const std::lock_guard lock(mutex);
        if (waiter.is_linked()) waiters.erase(waiter);
        return failure(ended.error());
      }
    }
  }

  template <class IsReady>
  [[nodiscard]] Result<std::uint8_t> wait(Wait& wait, IsReady&& is_ready) noexcept {
    return this->wait(wait, is_ready, [] {});
  }

  base::Mutex mutex;
  WaiterList waiters;

 private:
  static void make(detail::WaitLine& storage) noexcept;
  void take_place(Wait& wait, Waiter& waiter, Seat seat) noexcept {
    wait.bind(waiter);
    const bool was_passed_over = std::exchange(waiter.interest, kNone) == kPassedOver;
    if (waiter.is_linked()) return;
    if (seat == Seat::front || was_passed_over) waiters.push_front(waiter);
    else waiters.push_back(waiter);
  }
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
