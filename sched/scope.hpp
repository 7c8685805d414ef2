// The inside of a Scope: its children in a list under one mutex. A child that ends leaves the list
// under that mutex, and touches the scope for the last time when it unlocks.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/base/mutex.hpp"
#include "sched/fiber.hpp"

#include <ramie/scope.hpp>

#include <exception>

namespace ramie::inline v0::sched {

class ScopeCore {
 public:
  ScopeCore(on_failure policy, base::Instant deadline) noexcept
      : policy_(policy), deadline_(deadline) {}

  void adopt(Fiber& child) noexcept;
  // The first is called by the child after its body; the second on its worker's stack after its
  // end.
  void child_returned(Fiber& child) noexcept;
  void child_ended(Fiber& child) noexcept;
  void cancel() noexcept;
  // Returns runtime_gone, only on a plain thread, if a shutdown left all children behind: they
  // never end.
  Result<void> join(FiberWord::Shield shield, base::Instant deadline = base::kNever) noexcept;
  // Waits for the children, which were cancelled, even if this fiber is cancelled itself. Reports
  // those that do not end on stderr, at growing intervals. With `may_give_up`, block_on() ends the
  // runtime after RAMIE_DRAIN_TIMEOUT. Returns false if a shutdown has left all children behind.
  bool await_canceled(const char* who, bool may_give_up) noexcept;
  // The first child that failed: its exception, or the error because of which it never ran.
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

}  // namespace ramie::inline v0::sched
