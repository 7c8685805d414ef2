// One registered descriptor: its readiness word and the fibers that wait for it.
//
//     driver, in a turn                    fiber, in a wait
//     -----------------                    ----------------
//     state.publish(ready)          I1     state.load(): not there
//     lock; unlink the waiters that        lock; state.load() again; link   I6
//       `ready` concerns; claim them;      unlock; park
//       unlock
//     queue the fibers it claimed   I2
//
// The two critical sections are ordered. If the driver's comes first, the fiber sees the readiness
// under the lock. If the fiber's comes first, the driver finds the waiter.
//
// I5: The memory is type-stable. Only the holder of the baton gives a slot back, before it polls.
//     So an event of the current batch cannot reach the slot's next registration. Tokens carry a
//     generation nevertheless.
#pragma once

#include "io/io_state.hpp"
#include "sched/base/cacheline.hpp"
#include "sched/wait.hpp"

#include <ramie/io.hpp>
#include <ramie/sync/semaphore.hpp>

#include <cstdint>

namespace ramie::inline v0::io {

class Driver;

class alignas(base::kCacheLine) ScheduledIo {
 public:
  enum class Sharing : bool { one_waiter, any };  // one waiter per direction, or any number

  ScheduledIo() noexcept = default;

  IoState& state() noexcept { return state_; }
  Driver& driver() const noexcept { return *driver_; }

  // Returns that of `registration`, which must be registered.
  static ScheduledIo& of(const Registration& registration) noexcept {
    return *registration.shared_;
  }
  int fd() const noexcept { return fd_.load(base::kRelaxed); }

  // Publishes `ready` and claims the waiters that it concerns.
  void publish(IoState::Bits ready, sched::WakeList& wakes) noexcept;
  // The runtime ends: ends all waits with `shutting_down`, present and future.
  void shut_down() noexcept;
  // The registration ends: ends all waits with `canceled`, present and future.
  void close() noexcept;

  // Parks until something of `interest` is ready, as far as the driver knows. A caller that waits
  // again clears readiness first. The caller has called wait.enter().
  // `generation` is that of the registration when the operation began.
  Result<IoState::Snapshot> wait(sched::Wait& wait, Interest interest, Sharing sharing,
                                 std::uint16_t generation) noexcept;
  // The same for a caller that has not called enter().
  Result<IoState::Snapshot> wait(Interest interest, sched::WaitKind kind, Sharing sharing) noexcept;

  // The permit is for fibers that take from one descriptor one at a time, such as acceptors. The
  // fiber that has the permit tries and waits; the others queue for the permit. A fiber that comes
  // again queues behind the others. So the fibers share a burst, and an event wakes only one.
  // After the registration has ended, each queued fiber gets the permit in turn and returns
  // `canceled`. If the slot is reused before, fibers of the new registration wait until the last of
  // these has left. The caller has called wait.enter().
  Result<void> take_permit(sched::Wait& wait, std::uint16_t generation) noexcept;
  void release_permit() noexcept { permit_.release(); }

  // For callers that make the calls themselves and do not report what the calls returned. Anybody
  // may have used up remembered readiness, or it may still hold without a new edge. So this asks
  // the kernel unless the fiber has parked. An ERR may stay whatever its waiters do (an error queue
  // that nobody empties). Waiters hear of each ERR once: the caller clears `news_for(interest)`
  // with `seen`.
  struct Level {
    IoState::Snapshot seen;
    Ready ready;  // of `interest`; not empty
  };
  Result<Level> wait_for_level(Interest interest, sched::WaitKind kind, Sharing sharing) noexcept;

  // A short read or write of this descriptor says that nothing is left, or that there is no room
  // (I7): true of TCP only. Set by the owner before the first operation.
  bool is_drained_by_short() const noexcept { return is_drained_by_short_.load(base::kRelaxed); }
  void set_drained_by_short() noexcept { is_drained_by_short_.store(true, base::kRelaxed); }

  // Returns whether this is still the registration of that generation. It reads the state first: a
  // reader that sees the state of the slot's next registration also sees its generation (open()).
  bool is_still(std::uint16_t generation) const noexcept {
    return !state_.load().is_gone() && generation_.load(base::kRelaxed) == generation;
  }

  // --- for RegistrationSet
  void open(Driver& driver, int fd) noexcept;
  std::uint64_t token() const noexcept;
  static ScheduledIo* from_token(std::uint64_t token, std::uint16_t& generation) noexcept;
  std::uint16_t generation() const noexcept { return generation_.load(base::kRelaxed); }
  ScheduledIo* next = nullptr;  // in the set's free or pending list

 private:
  void take_waiters(IoState::Bits ready, sched::WakeList& wakes) noexcept;
  bool has_waiter(IoState::Bits mask) noexcept;

  IoState state_;
  base::Mutex mutex_;
  base::Atomic<std::uint16_t> generation_{0};
  sched::WaiterList waiters_;
  base::Atomic<bool> is_drained_by_short_{false};
  base::Atomic<int> fd_{-1};  // dumps read it at any time
  Driver* driver_ = nullptr;
  sync::Semaphore permit_{1};
};

}  // namespace ramie::inline v0::io
