// A Scope's inside: its children in a list under one mutex. A child that ends leaves the list under
// that mutex, and its last touch of the scope is the unlock.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/base/mutex.hpp"
#include "sched/fiber.hpp"

#include <ramie/scope.hpp>

#include <exception>

namespace ramie {
inline namespace v0 {
namespace sched {

class ScopeCore {
 public:
  ScopeCore(on_failure policy, base::Instant deadline) noexcept
      : policy_(policy), deadline_(deadline) {}

  void adopt(Fiber& child) noexcept;
  // In the child, after its body; then, on its worker's stack, when it has ended.
  void child_returned(Fiber& child) noexcept;
  void child_ended(Fiber& child) noexcept;
  void cancel() noexcept;
  // runtime_gone on a plain thread, if a shutdown left all children behind: they never end.
  Result<void> join(FiberWord::Shield shield, base::Instant deadline = base::kNever) noexcept;
  // Waits for the children, which were cancelled, whatever ends this fiber. Those that do not end
  // are named on stderr, again and again. `may_give_up`: after RAMIE_DRAIN_TIMEOUT whoever waits in
  // block_on() ends the runtime. False: a shutdown has left all children behind.
  bool await_canceled(const char* who, bool may_give_up) noexcept;
  // Of the first child that failed: what it threw, or why it never ran; and who it was.
  struct Failure {
    std::exception_ptr exception;
    std::error_code error;
    FiberIdentity child;
  };
  Failure take_failure() noexcept;
  std::size_t size() const noexcept { return size_.load(base::kAcquire); }

 private:
  Result<void> wait_for_children(FiberWord::Shield shield, base::Instant deadline) noexcept;
  bool are_all_left() noexcept;
  void name_children(const char* who, base::Nanos after) noexcept;

  const on_failure policy_;
  const base::Instant deadline_;
  base::Mutex mutex_;
  base::List<Fiber> children_;
  WaiterList waiters_;
  base::Atomic<std::size_t> size_{0};
  bool is_canceled_ = false;
  Failure first_failure_;
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
