// A worker's ring as a place to sleep, and the operations that are in it.
//
//   fiber on the owner              owner's loop                       fiber elsewhere (it was
//                                                                      cancelled, and stolen)
//   start(op): push, submit,        park(): push what waits, sleep     cancel(op): into the inbox,
//   settle what has completed       reap(): the same, settle           unpark the owner
//
//                                   another worker's loop, while the owner is stuck in a fiber
//                                   visit(): push what waits, settle
//
// Whoever uses the ring holds `ring_mutex_`: the owner, also while it sleeps in the ring, or a
// worker that visits. What a fiber elsewhere needs is under `mutex_`: the state of operations, and
// the inbox of cancels. `mutex_` is taken inside `ring_mutex_`.
//
// U1 A slot is one operation's from push to final completion. The kernel's `user_data` is slot,
//    generation and kind, never an address: a completion that nobody awaits is counted, not
//    followed.
// U2 Of the operations that end by themselves, no more are in the kernel than its queue has room
//    for completions; the others wait here, in order. (Should the queue overflow all the same, the
//    kernel keeps the rest.)
// U3 Nothing is dropped for want of room: what cannot be pushed stays where it is, and is tried
//    again after a while, whether something completes or not.
// U4 A cancel that found nothing is repeated as long as its operation is in the kernel: the two may
//    have passed each other.
// U5 DONE is set, and the waiter claimed, under the mutex: that is our last touch of an Op.
// U7 While a worker sleeps here with the baton of a shard, that very shard is polled in the ring.
// U8 A visitor never waits for the ring, so it never waits for an owner that sleeps there; and
//    the owner never sleeps through a bell that another has taken out of the ring.
// U9 When a sandbox has denied it, nobody enters the ring again. What the kernel has ends there by
//    itself, and is looked for in between; what it has not taken ends with -ECANCELED, so that the
//    caller goes another way. A wait for somebody could not be cancelled: it ends the program.
#pragma once

#include "io/sys/fd.hpp"
#include "sched/base/mutex.hpp"
#include "sched/metrics.hpp"
#include "sched/park_site.hpp"
#include "sched/wait.hpp"
#include "uring/op.hpp"
#include "uring/ring.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ramie {
inline namespace v0 {

namespace sched {
class Worker;
}

namespace uring {

struct SiteMetrics {
  sched::Counter started;
  sched::Counter completed;     // final completions of operations
  sched::Counter files;         // of the started: file operations
  sched::Counter cancels;       // sent
  sched::Counter cancels_late;  // of these: the operation was not found
  sched::Counter queued;        // had to wait for room
  sched::Counter stale;         // completions that nobody awaited
  sched::Counter enters;        // system calls, to hand over or to sleep
  sched::Counter retries;       // of these: put off by the kernel
  sched::Counter visits;        // fibers that another worker took out of here
};

class Site final : public sched::ParkSite {
 public:
  // On the owner's thread; `bell` is an eventfd. Throws std::bad_alloc.
  Site(sched::Worker& owner, std::unique_ptr<Ring> ring, io::sys::UniqueFd bell);
  ~Site() override;

  // --- the owner's thread
  // Hands `op` to the kernel. It may be DONE when this returns, and others that were in the kernel,
  // too.
  void start(Op& op) noexcept;

  // --- any thread
  // Parks until `op` is DONE, or `wait` has ended; then why.
  Result<void> await(Op& op, sched::Wait& wait) noexcept;
  // The same until `is_over()`, which is asked under our mutex.
  template <class IsOver>
  Result<void> await(Op& op, sched::Wait& wait, IsOver&& is_over) noexcept {
    return wait.run_entered(mutex_, op.waiters, is_over);
  }
  bool is_done(const Op& op) noexcept;
  base::Mutex& mutex() noexcept { return mutex_; }
  // Asks for its end; await() it all the same: only the owner makes it DONE.
  void cancel(Op& op) noexcept;

  // --- sched::ParkSite
  bool has_inflight() const noexcept override { return live_.load(base::kSeqCst) != 0; }
  void park(base::Nanos max_wait, int poll_fd) noexcept override;
  bool is_quiet(int poll_fd) const noexcept override;
  void unpark_from_any_thread() noexcept override;
  void reap(sched::FiberList& out) noexcept override;
  void visit(sched::FiberList& out) noexcept override;

  const Ring& ring() const noexcept { return *ring_; }
  // 0, or the errno with which io_uring_enter was denied: nothing more is started here.
  int denial() const noexcept { return denial_.load(base::kRelaxed); }
  const SiteMetrics& metrics() const noexcept { return metrics_; }
  std::uint32_t live() const noexcept { return live_.load(base::kRelaxed); }

 private:
  static constexpr std::size_t kMaxShards = 64;
  enum class Kind : std::uint8_t { op = 1, bell = 2, shard = 3, cancel = 4 };

  struct Slot {
    Op* op = nullptr;
    std::uint32_t generation = 0;
    std::uint32_t next_free = 0;
  };

  static std::uint64_t tag_of(Kind kind, std::size_t slot, std::uint32_t generation) noexcept;

  bool is_here() const noexcept;
  bool admit(Op& op) noexcept;
  void admit_or_queue(Op& op) noexcept;
  void admit_queued() noexcept;
  bool want_cancel(Op& op) noexcept;
  void sweep(sched::FiberList& out) noexcept;
  void push_waiting(sched::WakeList& wakes) noexcept;
  bool push(const Entry& entry) noexcept;
  int submit() noexcept;
  int enter_and_wait(base::Nanos max_wait) noexcept;
  void survive(int error) noexcept;
  void leave_kernel(sched::WakeList& wakes) noexcept;
  void give_up(Op& op, sched::WakeList& wakes) noexcept;
  void free_slot(Op& op) noexcept;
  void take_completions(sched::WakeList& wakes) noexcept;
  void settle(const Event& event, sched::WakeList& wakes) noexcept;
  void settle_op(const Event& event, sched::WakeList& wakes) noexcept;
  void settle_one(Op& op, sched::WakeList& wakes) noexcept;
  void complete(Op& op, sched::WakeList& wakes) noexcept;
  void repeat_cancel(const Event& event) noexcept;
  Op* find(std::uint64_t tag) noexcept;
  bool is_armed(int poll_fd) const noexcept;
  bool arm(int poll_fd) noexcept;
  void disarm(int poll_fd) noexcept;
  base::Nanos bound(base::Nanos max_wait, bool is_deaf) noexcept;

  sched::Worker& owner_;
  const io::sys::UniqueFd bell_;

  mutable base::Mutex ring_mutex_;
  const std::unique_ptr<Ring> ring_;
  base::Plain<bool> is_bell_armed_ = false;
  base::Plain<bool> was_rung_ = false;   // another worker has heard the bell
  std::array<int, kMaxShards> armed_{};  // epolls that are polled in the ring
  std::size_t armed_count_ = 0;
  bool is_put_off_ = false;  // the kernel has not taken all that was pushed before the last sleep

  base::Mutex mutex_;
  std::vector<Slot> slots_;
  std::uint32_t first_free_ = 0;  // a slot's number + 1; 0: none
  std::size_t brief_ = 0;         // in the kernel
  const std::size_t brief_limit_;
  base::List<Op> queued_;   // brief ones that wait for room
  base::List<Op> urgent_;   // others, that could not be pushed
  base::List<Op> cancels_;  // to be sent
  base::List<Op> repeats_;  // to be sent again, at `repeat_at_`
  base::Instant repeat_at_{};
  sched::FiberList woken_;               // by park(), for reap(): the owner's
  base::Atomic<std::uint32_t> live_{0};  // started and not DONE
  base::Atomic<int> denial_{0};          // written under `ring_mutex_`
  SiteMetrics metrics_;
};

}  // namespace uring
}  // namespace v0
}  // namespace ramie
