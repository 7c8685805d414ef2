// See worker_set.hpp.
#include "sched/worker_set.hpp"

#include "sched/base/thread.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <algorithm>
#include <span>

namespace ramie::inline v0::sched {

WorkerSet::WorkerSet(Scheduler& scheduler, const SchedulerOptions& options)
    : has_watchers_(options.watch.count() != 0),
      idle_(options.workers),
      injector_(options.workers) {
  for (std::size_t i = 0; i < options.workers; ++i)
    workers_.push_back(std::make_unique<Worker>(scheduler, i, options.seed + i));
}

WorkerSet::~WorkerSet() = default;

void WorkerSet::start() {
  for (auto& worker : workers_) worker->start();
}

void WorkerSet::close() noexcept {
  is_closing_.store(true, base::kSeqCst);
  for (auto& worker : workers_) worker->unpark();
}

bool WorkerSet::has_stopped_within(base::Nanos limit) const noexcept {
  const base::Instant until = base::saturating_add(base::now(), limit);
  const auto has_stopped = [](const auto& worker) { return worker->has_stopped(); };
  while (!std::all_of(workers_.begin(), workers_.end(), has_stopped)) {
    if (base::now() >= until) return false;
    base::yield_thread();
  }
  return true;
}

void WorkerSet::join() {
  for (auto& worker : workers_) worker->join();
}

void WorkerSet::detach() {
  for (auto& worker : workers_) worker->detach();
}

void WorkerSet::submit_from_outside(Fiber& fiber) noexcept {
  if (fiber.home != nullptr) {
    fiber.home->submit_pinned(fiber);
    return;
  }
  Fiber* one = &fiber;
  injector_.push(std::span<Fiber* const>(&one, 1), Injector::kOutside);
  notify_one();
}

// P3, the producer's half: the fiber is pushed; fence; if nobody searches, wake a sleeper.
void WorkerSet::notify_one() noexcept {
  base::fence(base::kSeqCst);
  const std::size_t chosen = idle_.choose();
  if (chosen == IdleSet::kNobody) return;
  if (Worker* waker = current_worker()) waker->count_wake();
  workers_[chosen]->unpark();
}

bool WorkerSet::wake_sleeper() noexcept {
  const std::size_t chosen = idle_.take_sleeper();
  if (chosen == IdleSet::kNobody) return false;
  workers_[chosen]->unpark();
  return true;
}

bool WorkerSet::has_work_anywhere() const noexcept {
  if (injector_.has_work()) return true;
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->has_stealable_work(); });
}

std::uint64_t WorkerSet::activity(const Worker& asker) const noexcept {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_)
    if (worker.get() != &asker) sum += worker->tick();
  return sum;
}

bool WorkerSet::has_lifo_waiting(const Worker& asker) const noexcept {
  return std::any_of(workers_.begin(), workers_.end(), [&asker](const auto& worker) {
    return worker.get() != &asker && worker->has_lifo_waiting();
  });
}

bool WorkerSet::has_site_to_watch(const Worker& asker) const noexcept {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    return worker.get() != &asker && worker->has_inflight() && !is_asleep(worker->index());
  });
}

}  // namespace ramie::inline v0::sched
