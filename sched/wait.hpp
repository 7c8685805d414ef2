// One wait of a fiber or a plain thread.
//
//   enter()    spends budget; refused if the fiber was cancelled. Once in each operation.
//   lock; is it ready already? arm(); link the waiter; unlock
//   park()     returns who ended the wait: a waker's number, kByTimer or kByCancel
//   lock; unlink if still linked; unlock            (not needed after a wake while parked)
//   verdict()  after a timer or a cancel: the error. Success: the end concerned somebody else, so
//              wait again.
//
// A plain thread blocks. It knows neither cancel nor scopes, only set_deadline().
#pragma once

#include "sched/fiber.hpp"

#include <cstdint>
#include <mutex>
#include <type_traits>

namespace ramie::inline v0::sched {

class Wait {
 public:
  using Shield = FiberWord::Shield;

  Wait(WaitKind kind, const void* object, Shield shield = Shield::no) noexcept;

  // The operation's own deadline (a sleep, a grace). The deadlines of scopes count as well, unless
  // the wait is shielded. A plain thread knows only this one.
  void set_deadline(base::Instant deadline) noexcept { own_deadline_ = deadline; }

  [[nodiscard]] Result<void> enter() noexcept;
  // Returns false if the wait is refused; verdict() then says why.
  [[nodiscard]] bool arm() noexcept;
  void bind(Waiter& waiter) noexcept;
  // Gives up an armed wait. Returns false if it was claimed meanwhile.
  [[nodiscard]] bool disarm() noexcept {
    is_armed_ = false;
    return sleeper_.word.disarm();
  }
  // Between arm() and park() or disarm().
  bool is_armed() const noexcept { return is_armed_; }
  [[nodiscard]] std::uint8_t park() noexcept;
  // After park() was ended by a waker: the last lock can be skipped, since the waiter is unlinked
  // and its waker has left the lock. (The race detector knows locks but not this law, so there we
  // take it.)
  bool waker_is_out() const noexcept { return RAMIE_TSAN == 0 && sleeper_.word.was_woken(); }
  [[nodiscard]] Result<void> verdict() noexcept;

  bool is_thread() const noexcept { return sleeper_.is_thread(); }
  Fiber& fiber() noexcept { return static_cast<Fiber&>(sleeper_); }

  // The common form: waits in `list` until `is_ready()` returns true, or until a waker has claimed
  // the waiter and handed over what it waits for. `is_ready()` runs under `mutex` and takes what it
  // finds.
  template <class IsReady>
  [[nodiscard]] Result<void> run(base::Mutex& mutex, WaiterList& list, IsReady&& is_ready,
                                 std::uint64_t amount = 0) noexcept {
    if (auto entered = enter(); !entered) return entered;
    return run_entered(mutex, list, is_ready, amount);
  }
  // The same for an operation that has already called enter().
  template <class IsReady>
  [[nodiscard]] Result<void> run_entered(base::Mutex& mutex, WaiterList& list, IsReady&& is_ready,
                                         std::uint64_t amount = 0) noexcept;

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
  bool is_armed_ = false;
  const void* object_;
  base::Instant own_deadline_ = base::kNever;
  base::Instant deadline_ = base::kNever;
  std::uint32_t epoch_ = 0;
};

// One thing that a wait waits for, in the three parts that a wait for several things (select) needs
// one by one: try, arm, disarm. Several Arms may stand in one wait: the first arms the wait.
template <class IsReady>
class Arm {
 public:
  enum class Armed : std::uint8_t { ready, linked, refused };

  Arm(base::Mutex& mutex, WaiterList& list, IsReady& is_ready, std::uint64_t amount) noexcept
      : mutex_(mutex), list_(list), is_ready_(is_ready) {
    waiter_.amount = amount;
  }

  // Tries; if there is nothing yet, arms the wait and links its waiter. All of it happens under the
  // lock, so what comes later finds the waiter. `refused`: ask the wait why.
  [[nodiscard]] Armed arm(Wait& wait) noexcept {
    const std::lock_guard lock(mutex_);
    if (is_ready_()) return Armed::ready;
    if (!wait.is_armed() && !wait.arm()) return Armed::refused;
    wait.bind(waiter_);
    list_.push_back(waiter_);
    return Armed::linked;
  }
  // Unlinks the waiter, and passes the lock in any case, because its waker may still hold it.
  // Returns true if a waker has unlinked it: then this arm has ended the wait, unless the wait was
  // over before.
  bool disarm() noexcept {
    const std::lock_guard lock(mutex_);
    if (!waiter_.is_linked()) return true;
    list_.erase(waiter_);
    return false;
  }

 private:
  base::Mutex& mutex_;
  WaiterList& list_;
  IsReady& is_ready_;
  Waiter waiter_;
};

template <class IsReady>
Result<void> Wait::run_entered(base::Mutex& mutex, WaiterList& list, IsReady&& is_ready,
                               std::uint64_t amount) noexcept {
  using Only = Arm<std::remove_reference_t<IsReady>>;
  Only only(mutex, list, is_ready, amount);
  for (;;) {
    const auto armed = only.arm(*this);
    if (armed == Only::Armed::ready) return {};
    if (armed == Only::Armed::linked) {
      const std::uint8_t by = park();
      if (by < FiberWord::kByTimer && waker_is_out()) return {};
      (void)only.disarm();
      if (by == 0) return {};
    }
    if (is_over()) return failure(errc::timed_out);
    if (auto ended = verdict(); !ended) return ended;
  }
}

// The number of plain threads of the process that sleep in a Wait now.
std::size_t parked_threads() noexcept;
// Called by its waker, before the thread may run. The thread no longer counts, although it has no
// CPU yet.
void on_thread_started() noexcept;

// Lets others run. The fiber continues after its worker has polled the driver.
void yield_fiber(Fiber& fiber) noexcept;
// Spends one unit. Yields at zero, or when the fiber has run for a slice of time (pace.hpp).
void spend_budget(Fiber& fiber) noexcept;
// The same with a look at the time, for loops that may compute for long between two calls.
void spend_budget_and_time(Fiber& fiber) noexcept;

}  // namespace ramie::inline v0::sched
