// The workers of one scheduler as a group: their shared queue, and which of them sleep, search and
// watch.
//
// P3 A producer pushes, fences, then looks for a searcher; if there is none it wakes a sleeper
//    (notify_one). A worker announces that it sleeps, fences, then looks at every queue
//    (has_work_anywhere). At least one of the two sees the other.
#pragma once

#include "sched/idle.hpp"
#include "sched/injector.hpp"
#include "sched/scheduler_options.hpp"
#include "sched/worker.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ramie::inline v0::sched {

class WorkerSet {
 public:
  WorkerSet(Scheduler& scheduler, const SchedulerOptions& options);
  ~WorkerSet();

  std::size_t size() const noexcept { return workers_.size(); }
  Worker& operator[](std::size_t i) const noexcept { return *workers_[i]; }

  // --- their threads

  void start();  // throws std::system_error if there is no thread: then close() and join()
  // Asks every worker to return from its loop.
  void close() noexcept;
  bool is_closing() const noexcept { return is_closing_.load(base::kSeqCst); }
  // Returns whether every worker has left its loop within `limit`.
  bool has_stopped_within(base::Nanos limit) const noexcept;
  void join();
  void detach();

  // --- work for anybody; any thread

  // From a thread that is none of these workers.
  void submit_from_outside(Fiber& fiber) noexcept;
  Injector& injector() noexcept { return injector_; }
  const Injector& injector() const noexcept { return injector_; }
  // After a push of something that more than one worker may take.
  void notify_one() noexcept;
  // Wakes a sleeper as a searcher, although nothing was pushed. Returns whether there was one.
  bool wake_sleeper() noexcept;

  // --- idle workers

  IdleSet& idle() noexcept { return idle_; }
  bool is_asleep(std::size_t worker) const noexcept { return idle_.is_asleep(worker); }
  // There is no watcher, and there should be one (not with RAMIE_WATCH_US=0).
  bool lacks_watcher() const noexcept { return has_watchers_ && !idle_.is_watched(); }
  bool has_work_anywhere() const noexcept;

  // --- for the watcher `asker`: what the others do

  // The number of picks of all other workers so far.
  std::uint64_t activity(const Worker& asker) const noexcept;
  // A fiber waits in another worker's LIFO slot, where only its owner or a watcher finds it.
  bool has_lifo_waiting(const Worker& asker) const noexcept;
  // Another worker is awake and has operations in its site.
  bool has_site_to_watch(const Worker& asker) const noexcept;

 private:
  const bool has_watchers_;
  IdleSet idle_;
  Injector injector_;
  std::vector<std::unique_ptr<Worker>> workers_;
  base::Atomic<bool> is_closing_{false};
};

}  // namespace ramie::inline v0::sched
