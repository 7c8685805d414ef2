// The life of a task: body, end, joiners, references.
#include "sched/fiber.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/fiber_main.hpp"
#include "sched/scheduler.hpp"
#include "sched/scope.hpp"
#include "sched/unhandled.hpp"
#include "sched/wait.hpp"

#include <cxxabi.h>
#include <algorithm>
#include <atomic>
#include <mutex>

namespace ramie::inline v0::sched {

const char* to_string(WaitKind kind) noexcept {
  switch (kind) {
    case WaitKind::none: return "running";
    case WaitKind::readable: return "readable";
    case WaitKind::writable: return "writable";
    case WaitKind::io: return "I/O";
    case WaitKind::accept: return "accept";
    case WaitKind::connect: return "connect";
    case WaitKind::sleep: return "sleep";
    case WaitKind::join: return "join";
    case WaitKind::scope: return "Scope";
    case WaitKind::mutex: return "Mutex";
    case WaitKind::condvar: return "Condvar";
    case WaitKind::semaphore: return "Semaphore";
    case WaitKind::notify: return "Notify";
    case WaitKind::channel: return "channel";
    case WaitKind::token: return "CancellationToken";
    case WaitKind::signal: return "signal";
    case WaitKind::blocking: return "blocking pool";
    case WaitKind::uring: return "io_uring";
    case WaitKind::lookup: return "look-up of a name";
  }
  return "?";
}

void Fiber::set_name(std::string_view text) noexcept {
  const std::size_t n = std::min(text.size(), kNameBytes - 1);
  for (std::size_t i = 0; i < n; ++i) std::atomic_ref(name[i]).store(text[i], base::kRelaxed);
  std::atomic_ref(name[n]).store('\0', base::kRelaxed);
}

// The last byte is always zero.
Fiber::Name Fiber::copy_name() const noexcept {
  Name copy{};
  for (std::size_t i = 0; i < kNameBytes - 1; ++i) {
    copy[i] = std::atomic_ref(const_cast<char&>(name[i])).load(base::kRelaxed);
    if (copy[i] == '\0') break;
  }
  return copy;
}

bool Fiber::try_retain() noexcept {
  std::uint32_t count = references.load(base::kSeqCst);
  while (count != 0)
    if (references.compare_exchange_weak(count, count + 1, base::kSeqCst, base::kSeqCst))
      return true;
  return false;
}

void Fiber::release() noexcept {
  if (references.fetch_sub(1, base::kAcqRel) == 1) scheduler->recycle(*this);
}

// The protocol of end_task(), with another bit.
void Fiber::leave_behind() noexcept {
  WakeList wakes;
  const std::uint8_t flags = join_flags.fetch_or(kLeftBehind, base::kAcqRel);
  if ((flags & kJoiners) == 0) return;
  const std::lock_guard lock(join_mutex);
  while (Waiter* joiner = joiners.pop_front()) (void)wakes.claim(*joiner);
}

// --- the task ------------------------------------------------------------------------------------

void run_body(Fiber& fiber) noexcept {
  if (fiber.scheduler->options().abort_on_unhandled && fiber.references.load(base::kRelaxed) == 1 &&
      fiber.group == nullptr) {
    fiber.ops->run(
        fiber.storage);  // detached: terminate where it is thrown, the core has the stack
    fiber.outcome.store(detail::Outcome::value, base::kRelaxed);
    return;
  }
  try {
    fiber.ops->run(fiber.storage);
    fiber.outcome.store(detail::Outcome::value, base::kRelaxed);
  } catch (abi::__forced_unwind&) {
    base::fatal("a worker thread was ended from outside (pthread_cancel): its fibers cannot go on");
  } catch (...) {
    fiber.exception = std::current_exception();
    fiber.outcome.store(detail::Outcome::exception, base::kRelaxed);
  }
}

void fiber_main(void* argument) noexcept {
  Fiber& fiber = *static_cast<Fiber*>(argument);
  base::tsan_acquire(fiber.wake_edge());
  base::tsan_acquire(fiber.end_edge());  // of the fiber that had the block before
  if (fiber.skip_body) {
    fiber.ops->drop_closure(fiber.storage);
    const auto outcome = fiber.error ? detail::Outcome::error : detail::Outcome::canceled;
    fiber.outcome.store(outcome, base::kRelaxed);
  } else {
    run_body(fiber);
  }
  publish_result(fiber);
  fiber.switch_reason.store(SwitchReason::ended, base::kRelaxed);
}

void publish_result(Fiber& fiber) noexcept {
  if (fiber.group != nullptr) fiber.group->child_returned(fiber);
  base::tsan_release(fiber.end_edge());
  base::tsan_release(fiber.scheduler);  // shut_down() comes after all of us
  if (!has_result(fiber) || !fiber.hand_over(Fiber::kLeft)) return;
  drop_task_result(fiber);
}

void end_task(Fiber& fiber) noexcept {
  Scheduler& scheduler = *fiber.scheduler;
  ScopeCore* group = std::exchange(fiber.group, nullptr);
  WakeList wakes;
  const std::uint8_t flags = fiber.join_flags.fetch_or(Fiber::kEnded, base::kAcqRel);
  if ((flags & Fiber::kJoiners) != 0) {
    const std::lock_guard lock(fiber.join_mutex);
    while (Waiter* joiner = fiber.joiners.pop_front()) (void)wakes.claim(*joiner);
  }
  wakes.fire();
  if (group != nullptr) group->child_ended(fiber);
  fiber.release();
  scheduler.on_ended();
}

}  // namespace ramie::inline v0::sched
