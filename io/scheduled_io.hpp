// One registered descriptor: its readiness word and who waits for it.
//
//   driver (turn)                        fiber (wait)
//   state.publish(ready)          I1     state.load(): not there
//   lock; unlink satisfied               lock; link; state.load() again   I6
//   waiters, claim them; unlock          unlock; park
//   queue the winners             I2
//
// Either the driver's critical section comes first, then its publish is seen under the lock; or
// ours does, then our waiter is found.
//
// I5 Memory is type-stable and handed out again only by the holder of the baton, before it polls:
//   an event of the batch in progress cannot meet another registration. Tokens carry a generation
//   all the same.
#pragma once

#include "io/io_state.hpp"
#include "io/ring_reads.hpp"
#include "sched/base/cacheline.hpp"
#include "sched/wait.hpp"

#include <ramie/io.hpp>
#include <ramie/sync/semaphore.hpp>

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace io {

class Driver;

class alignas(base::kCacheLine) ScheduledIo {
 public:
  enum class Sharing : bool { one_waiter, any };  // one waiter a direction, or any number

  ScheduledIo() noexcept = default;

  IoState& state() noexcept { return state_; }
  Driver& driver() const noexcept { return *driver_; }

  // Publishes `ready` and collects those whose waits it ends.
  void publish(IoState::Bits ready, sched::WakeList& wakes) noexcept;
  void shut_down() noexcept;
  void go() noexcept;
  // The same; true: the read in the ring was given up, and closes `fd` when it has ended.
  bool leave(int fd) noexcept;

  // Parks until something of `interest` is there, as far as the driver has heard. Whoever waits
  // again clears first.
  Result<IoState::Snapshot> wait(Interest interest, sched::WaitKind kind, Sharing sharing) noexcept;

  // Several fibers take from one descriptor one at a time (accept): the fiber that has the permit
  // tries and waits, the others stand in line for it. A fiber that comes again stands behind the
  // others. So they share a burst, and an event wakes one of them.
  // When the registration has ended, each of them gets the permit in the end, and returns
  // `canceled`. The slot may have its next owner by then; the fibers of that owner wait until the
  // last one has left.
  Result<void> take_permit(sched::WaitKind kind) noexcept;
  void release_permit() noexcept { permit_.release(); }

  // For those who do not say what they saw: readiness that is remembered may have been used up by
  // anybody, or may still be there without a new edge. So the kernel is asked, unless we parked. An
  // ERR may stay whatever its waiters do (an error queue that nobody empties): they hear of each
  // one once, when the caller clears `news_for(interest)` with `seen`.
  struct Level {
    IoState::Snapshot seen;
    Ready ready;  // of `interest`; not empty
  };
  Result<Level> wait_for_level(int fd, Interest interest, sched::WaitKind kind,
                               Sharing sharing) noexcept;

  // --- receives by ring; the descriptor is then registered for writing only
  bool reads_by_ring() const noexcept { return reads_by_ring_.load(base::kRelaxed); }
  void set_reads_by_ring(bool on) noexcept { reads_by_ring_.store(on, base::kRelaxed); }
  // The last one took all that was there: the next one will wait.
  bool is_drained() const noexcept { return is_drained_.load(base::kRelaxed); }
  void set_drained(bool on) noexcept { is_drained_.store(on, base::kRelaxed); }
  // Errors: already_waiting; canceled once deregistered: the slot may have its next owner by then.
  Result<void> begin(RingRead& read, std::uint16_t generation) noexcept;
  void end(RingRead& read) noexcept;
  // Under the mutex: the registration of that generation, and not deregistered? First the state:
  // who sees that of the slot's next owner sees its generation (open()).
  bool is_still(std::uint16_t generation) const noexcept {
    if (RAMIE_MUTANT(407) && generation_.load(base::kRelaxed) != generation) return false;
    return !state_.load().is_gone() &&
           (generation_.load(base::kRelaxed) == generation || RAMIE_MUTANT(407));
  }
  base::Mutex& mutex() noexcept { return mutex_; }

  // For dumps.
  base::Atomic<int> descriptor{-1};

  // --- for RegistrationSet
  void open(Driver& driver) noexcept;
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
  RingRead* ring_read_ = nullptr;
  base::Atomic<bool> reads_by_ring_{false};
  base::Atomic<bool> is_drained_{false};
  Driver* driver_ = nullptr;
  sync::Semaphore permit_{1};
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
