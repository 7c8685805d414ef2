// See current.hpp.
#include "sched/current.hpp"

#include "sched/base/annotate.hpp"
#include "sched/fiber.hpp"
#include "sched/worker.hpp"

namespace ramie::inline v0::sched {

namespace {

thread_local Fiber* this_fiber = nullptr;
thread_local Worker* this_worker = nullptr;
thread_local Scheduler* entered = nullptr;

thread_local ThreadSleeper this_thread;
thread_local Holds this_threads_holds;

template <class T>
RAMIE_NO_TSAN inline T opaque(T value) noexcept {
  __asm__ __volatile__("" : "+r"(value)::"memory");
  return value;
}

}  // namespace

[[gnu::noinline]] RAMIE_NO_TSAN Fiber* current_fiber() noexcept { return opaque(this_fiber); }
[[gnu::noinline]] RAMIE_NO_TSAN Fiber*& current_fiber_slot() noexcept {
  return *opaque(&this_fiber);
}
[[gnu::noinline]] RAMIE_NO_TSAN Worker* current_worker() noexcept { return opaque(this_worker); }
[[gnu::noinline]] Holds& thread_holds() noexcept { return *opaque(&this_threads_holds); }
[[gnu::noinline]] Sleeper& current_sleeper() noexcept {
  if (Fiber* fiber = current_fiber(); fiber != nullptr) return *fiber;
  return *opaque(static_cast<Sleeper*>(&this_thread));
}
[[gnu::noinline]] RAMIE_NO_TSAN Scheduler* current_scheduler() noexcept {
  // The entered runtime comes first: Handle::spawn enters its runtime for a moment, also inside a
  // fiber of another runtime.
  if (Scheduler* scheduler = opaque(entered); scheduler != nullptr) return scheduler;
  if (Fiber* fiber = current_fiber(); fiber != nullptr) return fiber->scheduler;
  Worker* worker = current_worker();
  return worker == nullptr ? nullptr : &worker->scheduler();
}
[[gnu::noinline]] RAMIE_NO_TSAN void set_current_worker(Worker* worker) noexcept {
  this_worker = opaque(worker);
}
[[gnu::noinline]] RAMIE_NO_TSAN Scheduler* exchange_entered(Scheduler* scheduler) noexcept {
  Scheduler* before = opaque(entered);
  entered = opaque(scheduler);
  return before;
}

}  // namespace ramie::inline v0::sched
