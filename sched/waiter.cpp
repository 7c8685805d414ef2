// See waiter.hpp: how wakers claim fibers and threads, and make them runnable.
#include "sched/waiter.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/fiber.hpp"
#include "sched/scheduler.hpp"
#include "sched/wait.hpp"

namespace ramie::inline v0::sched {

bool is_left_behind(const Waiter& waiter) noexcept {
  if (waiter.sleeper == nullptr || waiter.sleeper->is_thread()) return false;
  return static_cast<const Fiber*>(waiter.sleeper)->scheduler->has_leaked();
}

bool WakeList::claim(Sleeper& sleeper, std::uint32_t epoch, std::uint8_t by) noexcept {
  base::tsan_release(sleeper.wake_edge());
  const FiberWord::Claim claim = sleeper.word.claim(epoch, by);
  if (claim == FiberWord::Claim::won_and_queue) add(sleeper);
  return claim != FiberWord::Claim::lost;
}

void WakeList::request(Sleeper& sleeper, std::uint64_t bits) noexcept {
  base::tsan_release(sleeper.wake_edge());
  if (sleeper.word.request(bits)) add(sleeper);
}

void WakeList::add(Sleeper& sleeper) noexcept {
  if (!sleeper.is_thread()) {
    fibers_.push_back(static_cast<Fiber&>(sleeper));
    return;
  }
  auto& thread = static_cast<ThreadSleeper&>(sleeper);
  thread.wake_next = threads_;
  threads_ = &thread;
}

void WakeList::fire() noexcept {
  while (ThreadSleeper* thread = threads_) {
    threads_ = thread->wake_next;
    const void* futex = thread->word.futex();
    on_thread_started();
    thread->word.start();
    base::sys::futex_wake(futex, 1);
  }
  if (fibers_.is_empty()) return;
  const base::TsanInternal internal;
  while (Fiber* fiber = fibers_.pop_front()) fiber->scheduler->submit(*fiber);
}

}  // namespace ramie::inline v0::sched
