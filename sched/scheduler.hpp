// The fibers of one runtime and everything that they share. The scheduler creates fibers, counts
// them, hands them to the workers and ends them.
//
//   Scheduler -- workers()   the threads, their shared queue, idle ones        worker_set.hpp
//             -- shards()    the drivers that workers sleep on                 shards.hpp
//             -- timers()    a wheel for each worker                           time/wheel.hpp
//             -- slab()      control blocks; also the registry of all fibers   fiber_slab.hpp
//             -- stacks()    stacks                                            stack.hpp
//             -- blocking()  threads for calls that block                      blocking/pool.hpp
//             -- watchdog()  the thread that watches the workers               watchdog.hpp
//             -- env         the parts of the layers above                     env.hpp
//
// Shutdown, in steps (each function names its step):
//   1 refuse new fibers; cancel every fiber with SHUTDOWN: their waits return `shutting_down`
//   2 fibers run to their end on the workers (F6), until the deadline
//   3 past it: leak the stacks, blocks and threads of the stragglers on purpose, name them, and
//     tell their joiners that they are left behind
//   4 wake all workers and join them (with stragglers: before step 3 is over)
//   5 destroy in the reverse order of construction
#pragma once

#include "sched/env.hpp"
#include "sched/fiber_slab.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler_options.hpp"
#include "sched/shards.hpp"
#include "sched/stack.hpp"
#include "sched/time/wheel.hpp"
#include "sched/watchdog.hpp"
#include "sched/worker_set.hpp"

#include <memory>
#include <string>
#include <vector>

namespace ramie::inline v0::sched {

class BlockingPool;

std::uint64_t new_fiber_ids(std::uint64_t count) noexcept;

class Scheduler {
 public:
  // How the runtime lets go of a scheduler after shut_down(). JoinHandles may outlive the runtime;
  // the last one destroys the scheduler.
  struct Retire {
    void operator()(Scheduler* scheduler) const noexcept { scheduler->retire(); }
  };
  using Owner = std::unique_ptr<Scheduler, Retire>;

  Scheduler(SchedulerOptions options, const std::vector<Driver*>& drivers);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Starts the workers. If it fails, those that were started are joined again.
  Result<void> start() noexcept;

  // --- fibers; any thread

  // Returns a block with one reference for the run and one for the handle, or null with the reason.
  // `spawned_at` is an address in the code that called spawn().
  Fiber* create(const detail::TaskOps& ops, const SpawnOptions& options, const void* spawned_at,
                std::error_code& error) noexcept;
  // Makes a fiber runnable.
  void submit(Fiber& fiber) noexcept;
  // Ends a fiber that was created but not submitted, and holds no closure.
  void abandon(Fiber& fiber) noexcept;
  // Called when the last reference to a block is gone.
  void recycle(Fiber& fiber) noexcept;
  // Called when a fiber or blocking job has ended. Its block may be gone.
  void on_ended() noexcept;
  // Fibers that were created and have not ended.
  std::int64_t live() const noexcept;
  std::uint64_t spawned() const noexcept;
  template <class Visit>
  void for_each_fiber(Visit&& visit) {
    slab_.for_each(std::forward<Visit>(visit));
  }

  // --- the end

  // Does steps 1 to 4. Returns descriptions of the fibers that did not end in time.
  std::vector<std::string> shut_down(base::Nanos deadline) noexcept;
  bool is_shutting_down() const noexcept { return is_shutting_down_.load(base::kSeqCst); }
  // The deadline has passed: this object must then never be destroyed.
  bool has_leaked() const noexcept { return has_leaked_.load(base::kSeqCst); }
  // A fiber has waited past drain_timeout for one that does not end. The joiners of root fibers
  // learn it, and end the runtime.
  void give_up() noexcept;

  // --- the parts

  const SchedulerOptions& options() const noexcept { return options_; }
  WorkerSet& workers() noexcept { return workers_; }
  Shards& shards() noexcept { return shards_; }
  TimerSet& timers() noexcept { return timers_; }
  FiberSlab& slab() noexcept { return slab_; }
  StackPool& stacks() noexcept { return stacks_; }
  BlockingPool& blocking() noexcept { return *blocking_; }
  // Null if no watchdog was asked for.
  Watchdog* watchdog() const noexcept { return watchdog_.get(); }

  Env env;

 private:
  friend struct ModelDoor;  // tests/model

  ~Scheduler();
  static constexpr std::int64_t kNotRetired = std::int64_t{1} << 60;

  Worker* own_worker() const noexcept;
  void retire() noexcept;
  void cancel_all() noexcept;
  bool wait_until_ended(base::Instant deadline, bool with_jobs) noexcept;
  bool has_unended(bool with_jobs) noexcept;
  std::vector<std::string> name_stragglers() noexcept;

  const SchedulerOptions options_;
  StackPool stacks_;
  FiberSlab slab_;
  TimerSet timers_;
  Shards shards_;
  std::unique_ptr<BlockingPool> blocking_;
  WorkerSet workers_;
  std::unique_ptr<Watchdog> watchdog_;
  // Workers count for themselves (WorkerMetrics). These count for all other threads.
  base::Atomic<std::uint64_t> spawned_outside_{0};
  base::Atomic<std::uint64_t> ended_outside_{0};
  base::Atomic<std::uint32_t> submitters_outside_{0};
  // Blocks taken minus blocks given back. Reaches 0 only after retire().
  base::Atomic<std::int64_t> blocks_outside_{kNotRetired};
  base::Atomic<std::uint32_t> next_home_{0};
  base::Atomic<bool> is_shutting_down_{false};
  base::Atomic<std::uint32_t> ended_signal_{0};  // a futex: a fiber ended during the shutdown
  base::Atomic<bool> has_leaked_{false};
  const std::uint32_t fork_number_ = fork_number();
};

}  // namespace ramie::inline v0::sched
