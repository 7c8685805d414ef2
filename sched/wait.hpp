// One wait of a fiber or a plain thread: refuse, arm, park, and say why it ended.
//
//   enter()   spends budget; refused if the fiber was cancelled
//   lock; is it there already? arm(); link the waiter; unlock
//   park()    -> the arm that won, or kByTimer, or kByCancel
//   lock; unlink if still linked; unlock        (needless if woken while parked)
//   verdict() after a timer or a cancel: the error; success means that it concerned somebody else:
//   wait again
//
// A plain thread blocks, and knows neither cancel nor scopes, only set_deadline().
#pragma once

#include "sched/fiber.hpp"

#include <mutex>

namespace ramie {
inline namespace v0 {
namespace sched {

class Wait {
 public:
  using Shield = FiberWord::Shield;

  Wait(WaitKind kind, const void* object, Shield shield = Shield::no) noexcept;

  // The caller's own deadline (a sleep, a grace); the scopes' deadlines count all the same unless
  // shielded. A plain thread knows only this one.
  void set_deadline(base::Instant deadline) noexcept { own_deadline_ = deadline; }

  [[nodiscard]] Result<void> enter() noexcept;
  // False: refused; ask verdict().
  [[nodiscard]] bool arm() noexcept;
  void bind(Waiter& waiter, std::uint8_t arm = 0) noexcept;
  // Gives an armed wait up; false if it was claimed meanwhile.
  [[nodiscard]] bool disarm() noexcept { return sleeper_.word.disarm(); }
  [[nodiscard]] std::uint8_t park() noexcept;
  // After park() by an arm: true if the last lock can be skipped, for the waiter is unlinked and
  // its waker gone. (The race detector knows locks, not this law: there we pass it.)
  bool waker_is_out() const noexcept { return RAMIE_TSAN == 0 && sleeper_.word.was_woken(); }
  [[nodiscard]] Result<void> verdict() noexcept;

  bool is_thread() const noexcept { return sleeper_.is_thread(); }
  Fiber& fiber() noexcept { return static_cast<Fiber&>(sleeper_); }

  // The common shape: wait in `list` until `is_ready()`, which runs under `mutex` and takes what it
  // found, or until a waker has claimed us, which hands it over.
  template <class IsReady>
  [[nodiscard]] Result<void> run(base::Mutex& mutex, WaiterList& list, IsReady&& is_ready,
                                 std::uint64_t amount = 0) noexcept {
    if (auto entered = enter(); !entered) return entered;
    return run_entered(mutex, list, is_ready, amount);
  }
  // The same for who has called enter() before it did what it now waits for.
  template <class IsReady>
  [[nodiscard]] Result<void> run_entered(base::Mutex& mutex, WaiterList& list, IsReady&& is_ready,
                                         std::uint64_t amount = 0) noexcept {
    for (;;) {
      Waiter waiter;
      {
        std::unique_lock lock(mutex);
        if (is_ready()) return {};
        if (arm()) {
          bind(waiter);
          waiter.amount = amount;
          list.push_back(waiter);
        } else {
          lock.unlock();
          if (is_over()) return failure(errc::timed_out);
          if (auto ended = verdict(); !ended) return ended;
          continue;
        }
      }
      const std::uint8_t by = park();
      if (by < FiberWord::kByTimer && waker_is_out()) return {};
      {
        const std::lock_guard lock(mutex);
        if (waiter.is_linked()) list.erase(waiter);
      }
      if (by == 0) return {};
      if (is_over()) return failure(errc::timed_out);
      if (auto ended = verdict(); !ended) return ended;
    }
  }

 private:
  bool is_over() const noexcept {
    return own_deadline_ != base::kNever && own_deadline_ <= base::now();
  }
  void park_thread() noexcept;
  bool end_thread_wait() noexcept;
  bool arm_timer() noexcept;

  Sleeper& sleeper_;
  const WaitKind kind_;
  const Shield shield_;
  const void* object_;
  base::Instant own_deadline_ = base::kNever;
  base::Instant deadline_ = base::kNever;
  std::uint32_t epoch_ = 0;
};

// How many plain threads of the process sleep in a Wait now.
std::size_t parked_threads() noexcept;
// By its waker, before the thread may run: it no longer counts although it has no CPU yet.
void on_thread_started() noexcept;

// Lets others run; the fiber continues after its worker has polled the driver.
void yield_fiber(Fiber& fiber) noexcept;
// Spends one unit; yields at zero, or when the fiber has run for a slice of time (pace.hpp).
void spend_budget(Fiber& fiber) noexcept;
// The same with a look at the time, for loops that may compute for long between two calls.
void spend_budget_and_time(Fiber& fiber) noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
