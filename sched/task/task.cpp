// The library's side of task.hpp: create, submit, join, cancel, and the current fiber.
#include "sched/base/annotate.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"
#include "sched/scheduler.hpp"
#include "sched/unhandled.hpp"
#include "sched/wait.hpp"
#include "sched/worker.hpp"

#include <ramie/task.hpp>
#include <ramie/time.hpp>

namespace ramie::inline v0 {

namespace detail {

using sched::Fiber;
using sched::FiberWord;

Task* task_create(const TaskOps& ops, const SpawnOptions& options, const void* spawned_at,
                  std::error_code& error) noexcept {
  sched::Scheduler* scheduler = sched::current_scheduler();
  if (scheduler == nullptr) {
    error = errc::no_runtime;
    return nullptr;
  }
  const base::TsanInternal internal;
  return scheduler->create(ops, options, spawned_at, error);
}

void* task_storage(Task& task) noexcept { return task.storage; }

void task_abandon(Task& task) noexcept {
  const base::TsanInternal internal;
  task.scheduler->abandon(task);
}

void task_submit(Task& task) noexcept {
  base::tsan_release(task.wake_edge());
  const base::TsanInternal internal;
  task.scheduler->submit(task);
}

void task_submit_blocking(Task& task) noexcept {
  base::tsan_release(task.wake_edge());
  task.scheduler->blocking().submit(task);
}

Result<void> task_join(Task& task) noexcept {
  RAMIE_CHECK(sched::current_fiber() != &task,
              "a fiber joins itself, and would wait for ever: its own JoinHandle is for others");
  sched::Wait wait(sched::WaitKind::join, &task);
  auto joined = wait.run(task.join_mutex, task.joiners, [&] {
    const std::uint8_t over = Fiber::kEnded | Fiber::kLeftBehind;
    return (task.join_flags.fetch_or(Fiber::kJoiners, base::kAcqRel) & over) != 0;
  });
  if (!joined) return joined;
  if (!task.has_ended()) return failure(errc::runtime_gone);
  base::tsan_acquire(task.end_edge());
  return joined;
}

bool task_is_finished(const Task& task) noexcept { return task.has_ended(); }

void task_cancel(Task& task) noexcept {
  if (task.waits_for.load(base::kRelaxed) == sched::WaitKind::blocking) {
    task.scheduler->blocking().cancel(task);
    return;
  }
  sched::WakeList wakes;
  wakes.request(task, FiberWord::kCancel);
}

Outcome task_outcome(Task& task) noexcept { return task.outcome.load(base::kAcquire); }

std::exception_ptr task_take_exception(Task& task) noexcept {
  task_consumed(task);
  return std::exchange(task.exception, nullptr);
}

std::error_code task_error(Task& task) noexcept { return task.error; }

void task_consumed(Task& task) noexcept { task.outcome.store(Outcome::none, base::kRelaxed); }

void task_release(Task& task) noexcept { task.release(); }

void task_detach(Task& task) noexcept {
  if (task.hand_over(Fiber::kUnwanted)) {
    base::tsan_acquire(task.end_edge());
    sched::drop_task_result(task);
  }
  task.release();
}

std::uint64_t task_id(const Task& task) noexcept { return task.id; }

std::chrono::steady_clock::time_point deadline_after(std::chrono::nanoseconds delay) noexcept {
  return base::saturating_add(base::now(), delay);
}

}  // namespace detail

void yield_now() noexcept {
  if (sched::Fiber* fiber = sched::current_fiber()) sched::yield_fiber(*fiber);
  else base::yield_thread();
}

void consume_budget() noexcept {
  if (sched::Fiber* fiber = sched::current_fiber()) sched::spend_budget_and_time(*fiber);
}

Result<void> sleep_until(std::chrono::steady_clock::time_point deadline) noexcept {
  sched::Fiber* fiber = sched::current_fiber();
  if (fiber == nullptr) return failure(errc::no_runtime);
  sched::Wait wait(sched::WaitKind::sleep, nullptr);
  wait.set_deadline(deadline);
  if (auto entered = wait.enter(); !entered) return entered;
  while (deadline > base::now()) {
    if (wait.arm()) (void)wait.park();
    if (deadline <= base::now()) break;
    if (auto ended = wait.verdict(); !ended) return ended;
  }
  return {};
}

namespace current {

std::uint64_t id() noexcept {
  const sched::Fiber* fiber = sched::current_fiber();
  return fiber == nullptr ? 0 : fiber->id;
}

std::string_view name() noexcept {
  const sched::Fiber* fiber = sched::current_fiber();
  return fiber == nullptr ? std::string_view() : fiber->view_name();
}

void set_name(std::string_view name) noexcept {
  if (sched::Fiber* fiber = sched::current_fiber()) fiber->set_name(name);
}

bool is_fiber() noexcept { return sched::current_fiber() != nullptr; }

Result<void> check() noexcept {
  sched::Fiber* fiber = sched::current_fiber();
  return fiber == nullptr ? Result<void>{} : fiber->cancel.ask(*fiber);
}

int worker_index() noexcept {
  const sched::Worker* worker = sched::current_worker();
  return worker == nullptr ? -1 : static_cast<int>(worker->index());
}

}  // namespace current
}  // namespace ramie::inline v0
