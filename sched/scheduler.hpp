// What the workers share: the injector, who is idle, timers, stacks, control blocks; submit and
// shutdown.
//
// Shutdown, in steps (each function names its step):
//   1 refuse new fibers; cancel every fiber with SHUTDOWN: their waits return `shutting_down`
//   2 fibers run to their end on the workers (F6), until the deadline
//   3 past it: leak the stacks, blocks and threads of the stragglers on purpose, name them, and
//     tell their joiners that they are left behind
//   4 close the injector, wake all workers, join them (with stragglers: before step 3 is over)
//   5 destroy in the reverse order of construction
#pragma once

#include "sched/driver.hpp"
#include "sched/fiber_slab.hpp"
#include "sched/fork.hpp"
#include "sched/idle.hpp"
#include "sched/injector.hpp"
#include "sched/stack.hpp"
#include "sched/time/wheel.hpp"
#include "sched/watchdog.hpp"
#include "sched/worker.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ramie {
inline namespace v0 {

namespace runtime {
class RuntimeState;
}
namespace io {
class Handle;
}
namespace signal {
class Handle;
}
namespace uring {
class Handle;
}

namespace sched {

class BlockingPool;

struct SchedulerOptions {
  std::size_t workers = 1;
  std::uint32_t event_interval = 61;  // switches between two looks at the driver
  std::uint32_t global_interval = 0;  // switches between two looks at the injector; 0: by load
  std::uint32_t budget = 128;         // 0: off; time ends it all the same
  std::uint32_t lifo = 3;             // consecutive runs from the LIFO slot; 0: off
  base::Nanos watch{500'000};         // the watcher's bound; 0: off
  base::Nanos spin{0};                // polls this long before sleeping
  bool lazy_notify = true;            // readiness of a few fibers wakes no second worker
  std::uint64_t slice = base::cycles_in_slice();  // see pace.hpp

  std::uint64_t seed = 0;
  std::optional<std::uint64_t> chaos;  // see chaos.hpp
  StackOptions stacks;
  std::size_t blocking_threads = 512;
  base::Nanos blocking_keepalive{10'000'000'000};
  base::Nanos drain_timeout{30'000'000'000};  // how long Scope::drain() waits after its grace
  bool abort_on_unhandled = false;
  std::function<void()> on_thread_start;
  std::function<void()> on_thread_stop;
  std::function<void()> on_fibers_ended;  // in shutdown: end what blocking jobs may wait for
  std::vector<unsigned> cpus;             // where each worker runs; empty: where the kernel puts it
  std::vector<unsigned> blocking_cpus;    // of the pool's threads, if the workers are pinned
  std::string thread_name = "ramie";
  WatchdogOptions watchdog;
  bool alternate_stacks = true;  // for signal handlers: a stack overflow can then be reported
  bool interrupts = true;        // SIGURG is ours, for the stacks of fibers that run (probe.hpp)
};

// The handles through which a fiber finds its runtime's parts; lower layers know only their names.
struct Env {
  io::Handle* io = nullptr;
  signal::Handle* signals = nullptr;
  uring::Handle* uring = nullptr;
  runtime::RuntimeState* runtime = nullptr;
  // What a fiber waits on, as text; empty if it is nothing that the layer above knows.
  std::string (*describe)(WaitKind kind, const void* object) = nullptr;
  // Has the process handlers for signals that may wake fibers?
  bool (*expects_signals)() noexcept = nullptr;
};

// One driver and the right to drive it.
struct Shard {
  Driver* driver = nullptr;
  std::uint32_t index = 0;
  Baton baton;
  base::Atomic<Tick> sleeps_until{
      0};  // the timer that its sleeper waits for; 0: nobody sleeps in it
};

std::uint64_t new_fiber_ids(std::uint64_t count) noexcept;

class Scheduler {
 public:
  Scheduler(SchedulerOptions options, std::vector<Driver*> shards);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Starts the workers. On failure those that were started are joined again.
  Result<void> start() noexcept;

  // --- any thread
  void submit(Fiber& fiber) noexcept;
  void submit_batch(FiberList& batch) noexcept;
  // A block with a reference for the run and one for the handle; null with the reason.
  Fiber* create(const detail::TaskOps& ops, const SpawnOptions& options, const void* site,
                std::error_code& error) noexcept;
  void recycle(Fiber& fiber) noexcept;
  // Ends a created fiber that was never submitted and holds no closure.
  void abandon(Fiber& fiber) noexcept;
  // A fiber or blocking job has ended; its block may be gone.
  void on_ended() noexcept;
  // The runtime lets go of us after shut_down(). JoinHandles may outlive it: the last one ends us.
  struct Retire {
    void operator()(Scheduler* scheduler) const noexcept { scheduler->retire(); }
  };
  using Owner = std::unique_ptr<Scheduler, Retire>;
  // Something is due earlier than a sleeper may think.
  void notify_timer(Tick due) noexcept;
  void notify_one() noexcept;

  // Steps 1 to 4. Returns descriptions of the fibers that did not end in time.
  std::vector<std::string> shut_down(base::Nanos deadline) noexcept;
  // Past a deadline: the object must then never be destroyed.
  bool has_leaked() const noexcept { return has_leaked_.load(base::kSeqCst); }
  // A fiber keeps waiting for one that does not end, past drain_timeout: the joiners of root fibers
  // learn it, and end the runtime.
  void give_up() noexcept;
  bool is_shutting_down() const noexcept { return is_shutting_down_.load(base::kSeqCst); }

  template <class Visit>
  void for_each_fiber(Visit&& visit) {
    slab_.for_each(std::forward<Visit>(visit));
  }

  const SchedulerOptions& options() const noexcept { return options_; }
  TimerSet& timers() noexcept { return timers_; }
  StackPool& stacks() noexcept { return stacks_; }
  BlockingPool& blocking() noexcept { return *blocking_; }
  std::size_t workers() const noexcept { return workers_.size(); }
  Worker& worker(std::size_t i) noexcept { return *workers_[i]; }
  bool is_asleep(std::size_t worker) const noexcept { return idle_.is_asleep(worker); }
  // Fibers created and not ended.
  std::int64_t live() const noexcept;
  std::uint64_t spawned() const noexcept;
  std::int64_t injected() const noexcept { return injector_.size(); }
  // Some shard's baton is free.
  bool has_unattended_shard() const noexcept;
  // Null: nobody asked for one.
  Watchdog* watchdog() const noexcept { return watchdog_.get(); }
  // Wakes a sleeper, as a searcher, although nothing was pushed. False: nobody sleeps.
  bool wake_sleeper() noexcept;

  Env env;

 private:
  friend class Worker;
  friend struct ModelDoor;  // tests/model

  ~Scheduler();
  static constexpr std::int64_t kNotRetired = std::int64_t{1} << 60;

  Worker* own_worker() const noexcept;
  void retire() noexcept;
  bool is_closing() const noexcept { return is_closing_.load(base::kSeqCst); }
  bool has_work_anywhere(const Worker& asker) const noexcept;
  Shard* take_baton(std::size_t worker) noexcept;
  // How long a sleeper in `shard` may sleep: `bound`, or until the earliest timer.
  base::Nanos bound_by_timers(Shard& shard, base::Nanos bound) noexcept;
  // Steps of all other workers so far: the watcher's own looks are no activity.
  std::uint64_t activity(const Worker& asker) const noexcept;
  // A fiber waits in the LIFO slot of a worker, where only its owner or a watcher finds it.
  bool has_lifo_waiting(const Worker& asker) const noexcept;
  // A worker that is awake has operations in its site.
  bool has_site_to_watch(const Worker& asker) const noexcept;
  void cancel_all() noexcept;
  bool wait_until_ended(base::Instant deadline, bool with_jobs) noexcept;
  // RAMIE_WATCH_US=0 means: none is wanted.
  bool lacks_watcher() const noexcept { return options_.watch.count() != 0 && !idle_.is_watched(); }
  bool has_unended(bool with_jobs) noexcept;
  std::vector<std::string> leave_stragglers() noexcept;

  const SchedulerOptions options_;
  StackPool stacks_;
  FiberSlab slab_;
  TimerSet timers_;
  IdleSet idle_;
  Injector injector_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<BlockingPool> blocking_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Watchdog> watchdog_;
  // Workers count for themselves (WorkerMetrics); these are for all other threads.
  base::Atomic<std::uint64_t> spawned_outside_{0};
  base::Atomic<std::uint64_t> ended_outside_{0};
  base::Atomic<std::uint32_t> submitters_outside_{0};
  base::Atomic<std::int64_t> blocks_outside_{
      kNotRetired};  // taken - given back; reaches 0 only once retired
  base::Atomic<std::uint32_t> next_home_{0};
  base::Atomic<bool> is_shutting_down_{false};
  base::Atomic<bool> is_closing_{false};
  base::Atomic<std::uint32_t> ended_signal_{0};  // futex: somebody ended while we shut down
  base::Atomic<bool> has_leaked_{false};
  const std::uint32_t fork_number_ = fork_number();
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
