// A queue of waiters: the inside of detail::WaitQueue, and the only way to wait in it.
//
//   waiting side                                  serving side, under the lock
//   lock; is_ready()? arm, link; unlock           pop the first waiter
//   park()                                        claim it; if won, and only then, give
//   lock; unlock                                  if lost (a cancel was faster), mark it and go on
//
// The last lock of the waiting side (not needed if it had parked: waiter.hpp) lets a woken waiter
// destroy the primitive: its waker has left the lock by then, and touches nothing any more.
//
// A cancel that a Shield hides ends a wait, but it concerns somebody else. Such a waiter keeps its
// place. If it was passed over meanwhile, it was the first, and goes back to the front.
#pragma once

#include "sched/wait.hpp"

#include <ramie/sync/wait_queue.hpp>

#include <mutex>
#include <new>
#include <utility>

namespace ramie::inline v0::sched {

class WaitQueue {
 public:
  // Who ended a wait, besides FiberWord's numbers and the numbers with which the serving side
  // claims.
  static constexpr std::uint8_t kServed = 0;
  static constexpr std::uint8_t kClosed = 1;
  static constexpr std::uint8_t kReady = 253;  // is_ready() was true, so there was no need to wait

  enum class Seat : bool { back, front };
  // What a waiter learns if it was popped but could not be claimed.
  enum Mark : std::uint32_t { kNone, kPassedOver, kTold };

  static WaitQueue& of(detail::WaitQueue& storage) noexcept {
    if (storage.made_.load(base::kAcquire) != detail::WaitQueue::kMade) [[unlikely]]
      make(storage);
    return *std::launder(reinterpret_cast<WaitQueue*>(storage.space_));
  }
  static void destroy(detail::WaitQueue& storage) noexcept;

  // Claims the first waiter that can be claimed. Called under the lock.
  bool serve_one(WakeList& wakes, std::uint8_t by = kServed, Mark mark = kPassedOver) noexcept {
    while (Waiter* waiter = waiters.pop_front())
      if (serve(wakes, *waiter, by, mark)) return true;
    return false;
  }
  // Claims all waiters. Called under the lock.
  void serve_all(WakeList& wakes, std::uint8_t by, Mark mark) noexcept {
    while (Waiter* waiter = waiters.pop_front()) (void)serve(wakes, *waiter, by, mark);
  }
  // Claims `waiter`, which was popped; or which the caller unlinks if it was claimed.
  bool serve(WakeList& wakes, Waiter& waiter, std::uint8_t by, Mark mark) noexcept {
    if (wakes.claim(*waiter.sleeper, waiter.epoch, by)) return true;
    waiter.mark = mark;
    return false;
  }

  enum class Armed : std::uint8_t { served, ready, linked, refused };
  // The parts of wait(), like those of sched::Arm. arm() tries; if nothing is there, it arms the
  // wait and links its waiter. disarm() unlinks the waiter.
  template <class IsReady>
  [[nodiscard]] Armed arm(Wait& wait, Waiter& waiter, IsReady&& is_ready, Seat seat) noexcept {
    const std::lock_guard lock(mutex);
    if (waiter.mark == kTold) return Armed::served;
    const bool looks = !waiter.is_linked() || waiter.mark == kPassedOver;
    if (looks && is_ready()) {
      if (waiter.is_linked()) waiters.erase(waiter);
      return Armed::ready;
    }
    if (!wait.arm()) return Armed::refused;
    take_place(wait, waiter, seat);
    return Armed::linked;
  }
  void disarm(Waiter& waiter) noexcept {
    const std::lock_guard lock(mutex);
    if (waiter.is_linked()) waiters.erase(waiter);
  }

  // Waits in the queue until served. `is_ready()` runs under the lock before the waiter is linked,
  // and again when the waiter has been passed over, linked or not. `on_linked` runs once, without
  // the lock, between the first link and the park. The caller has called wait.enter(). Returns who
  // ended the wait. On an error the caller undoes what its is_ready() announced.
  template <class IsReady, class OnLinked>
  [[nodiscard]] Result<std::uint8_t> wait(Wait& wait, IsReady&& is_ready, OnLinked&& on_linked,
                                          std::uint64_t amount = 0,
                                          Seat seat = Seat::back) noexcept {
    Waiter waiter;
    waiter.amount = amount;
    bool was_linked = false;
    for (;;) {
      const auto armed = arm(wait, waiter, is_ready, seat);
      if (armed == Armed::served) return kServed;
      if (armed == Armed::ready) return kReady;
      if (armed == Armed::linked) {
        if (!std::exchange(was_linked, true)) on_linked();
        const std::uint8_t by = wait.park();
        if (by < FiberWord::kByTimer) {
          if (!wait.waker_is_out()) const std::lock_guard until_it_is(mutex);
          return by;
        }
      }
      if (auto ended = wait.verdict(); !ended) {
        disarm(waiter);
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
  static void make(detail::WaitQueue& storage) noexcept;
  void take_place(Wait& wait, Waiter& waiter, Seat seat) noexcept {
    wait.bind(waiter);
    const bool was_passed_over = std::exchange(waiter.mark, kNone) == kPassedOver;
    if (waiter.is_linked()) return;
    if (seat == Seat::front || was_passed_over) waiters.push_front(waiter);
    else waiters.push_back(waiter);
  }
};

}  // namespace ramie::inline v0::sched
