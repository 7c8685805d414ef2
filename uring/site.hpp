// A worker's ring as a place to sleep, and the operations that are in it.
//
//     fiber on the owner           owner's loop                     fiber elsewhere (cancelled and
//     ------------------           ------------                     stolen meanwhile)
//     start(op): push, submit,     park(): push what waits, sleep   cancel(op): into the inbox,
//     settle what has completed    reap(): the same, settle         unpark the owner
//
//                                  another worker's loop, while the owner is stuck in a fiber
//                                  visit(): push what waits, settle
//
// A worker holds `ring_mutex_` while it uses the ring: the owner, also while it sleeps in the ring,
// or a visitor. `mutex_` protects what a fiber elsewhere needs: the state of operations, and the
// inbox of cancels. `mutex_` is taken inside `ring_mutex_`.
//
// U1 A slot belongs to one operation from push to final completion. The kernel's `user_data` is
//    slot, generation and kind, never an address: a completion that nobody awaits is counted and
//    otherwise ignored.
// U2 The kernel never holds more brief operations than its queue has room for completions. The
//    others wait here, in order. (If the queue overflows nevertheless, the kernel keeps the rest.)
// U3 Nothing is dropped for lack of room. What cannot be pushed stays where it is and is tried
// again
//    after a while, whether something completes or not.
// U4 A cancel that found nothing is repeated while its operation is in the kernel, because the two
//    may have passed each other.
// U5 DONE is set and the waiter is claimed under the mutex. That is our last access to an Op.
// U7 While a worker sleeps here with the baton of a shard, the ring polls that shard.
// U8 A visitor never waits for the ring, so it never waits for an owner that sleeps there. The
// owner
//    never sleeps through a wake-up that a visitor has taken out of the ring.
// U9 When a sandbox has denied it, nobody enters the ring again. Operations in the kernel end there
//    by themselves, and the owner looks for them in between. Operations that the kernel has not
//    taken end with -ECANCELED, so that the caller uses another way. An operation that waits for
//    others could not be cancelled any more, so it ends the program.
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

namespace ramie::inline v0 {

namespace sched {
class Worker;
}

namespace uring {

struct SiteMetrics {
  sched::Counter started;
  sched::Counter completed;     // final completions of operations
  sched::Counter files;         // of the started: file operations
  sched::Counter cancels;       // sent
  sched::Counter cancels_late;  // of the sent: the operation was not found
  sched::Counter queued;        // had to wait for room
  sched::Counter stale;         // completions that nobody awaited
  sched::Counter enters;        // system calls, to submit or to sleep
  sched::Counter retries;       // of the enters: the kernel asked to try later
  sched::Counter visits;        // fibers that a visiting worker woke
};

class Site final : public sched::ParkSite {
 public:
  // On the owner's thread; `bell` is the eventfd that wakes it. Throws std::bad_alloc.
  Site(sched::Worker& owner, std::unique_ptr<Ring> ring, io::sys::UniqueFd bell);
  ~Site() override;

  // --- the owner's thread
  // Gives `op` to the kernel. When this returns, `op` may be DONE, and so may others.
  void start(Op& op) noexcept;

  // --- any thread
  // Parks until `op` is DONE or `wait` has ended. Returns why the wait ended.
  Result<void> await(Op& op, sched::Wait& wait) noexcept;
  // The same until `is_over()`, which is called under our mutex.
  template <class IsOver>
  Result<void> await(Op& op, sched::Wait& wait, IsOver&& is_over) noexcept {
    return wait.run_entered(mutex_, op.waiters, is_over);
  }
  bool is_done(const Op& op) noexcept;
  base::Mutex& mutex() noexcept { return mutex_; }
  // Asks for the end of `op`. Call await() nevertheless: only the owner makes it DONE.
  void cancel(Op& op) noexcept;

  // --- sched::ParkSite
  bool has_inflight() const noexcept override { return live_.load(base::kSeqCst) != 0; }
  void park(base::Nanos max_wait, int poll_fd) noexcept override;
  bool is_quiet(int poll_fd) const noexcept override;
  void unpark_from_any_thread() noexcept override;
  void reap(sched::FiberList& out) noexcept override;
  void visit(sched::FiberList& out) noexcept override;

  const Ring& ring() const noexcept { return *ring_; }
  // 0, or the errno with which io_uring_enter was denied. Then no operation may start here.
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
  base::Plain<bool> was_rung_ = false;   // another worker took the completion of the bell's poll
  std::array<int, kMaxShards> armed_{};  // epolls that are polled in the ring
  std::size_t armed_count_ = 0;
  bool is_put_off_ = false;  // the kernel did not take all entries before the last sleep

  base::Mutex mutex_;
  std::vector<Slot> slots_;
  std::uint32_t first_free_ = 0;  // a slot's number + 1; 0: none
  std::size_t brief_ = 0;         // brief operations in the kernel
  const std::size_t brief_limit_;
  base::List<Op> queued_;   // brief operations that wait for room
  base::List<Op> urgent_;   // other operations that could not be pushed
  base::List<Op> cancels_;  // to be sent
  base::List<Op> repeats_;  // to be sent again, at `repeat_at_`
  base::Instant repeat_at_{};
  sched::FiberList woken_;               // from park() to reap(); only the owner uses it
  base::Atomic<std::uint32_t> live_{0};  // started and not DONE
  base::Atomic<int> denial_{0};          // written under `ring_mutex_`
  SiteMetrics metrics_;
};

}  // namespace uring
}  // namespace ramie::inline v0
