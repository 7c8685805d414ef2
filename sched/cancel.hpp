// Cancel scopes: the one mechanism behind timeout, until, Shield, Scope, JoinHandle::cancel and
// shutdown.
//
//   fiber.cancel.innermost -> timeout(1s) -> Shield -> until(token) -> null
//        |                                     ^       (each on the fiber's stack)
//        +-- a wait asks the chain from the inside up to the first shield, then the fiber's bits
//
// Whoever ends a scope (a token, a passed deadline) marks the scope first and then turns
// FiberWord::kScope on, which also ends an open wait. The bit is a hint that means "ask the chain".
// Only its own fiber walks and changes the chain. A token reaches a scope through the node that the
// scope has linked into the token, under the token's lock.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"
#include "sched/waiter.hpp"

#include <ramie/cancel.hpp>

#include <cstdint>

namespace ramie::inline v0 {

namespace sched {
class Fiber;
class WakeList;
class CancelScope;

// What a token cancels: a scope of a fiber, or a child token.
struct TokenNode : base::Link {
  enum class Kind : std::uint8_t { scope, child } kind = Kind::scope;
};

class CancelScope : public TokenNode {
 public:
  enum class Shielding : bool { no, yes };

  // Becomes the innermost scope of `fiber`.
  CancelScope(Fiber* fiber, base::Instant deadline, Shielding shielding) noexcept;
  CancelScope(Fiber* fiber, detail::TokenState* token) noexcept;
  ~CancelScope();

  // Called by the token, under its lock.
  void fire(WakeList& wakes) noexcept;

  Result<void> verdict() const noexcept;

 private:
  friend struct CancelState;
  void push(base::Instant deadline) noexcept;

  Fiber* fiber_;
  CancelScope* parent_ = nullptr;
  detail::TokenState* token_ = nullptr;
  base::Instant deadline_ = base::kNever;   // ours
  base::Instant effective_ = base::kNever;  // the earliest from here up to the first shield
  base::Atomic<bool> fired_{false};
  bool is_shield_ = false;
  bool is_shielded_ = false;  // this scope or one around it is a shield
  errc ended_by_us_{};        // a wait was refused because of this scope
};

// The fiber's part.
struct CancelState {
  CancelScope* innermost = nullptr;
  base::Instant inherited = base::kNever;  // the deadline of the Scope that spawned the fiber

  // The time at which waits that start now must end.
  base::Instant deadline() const noexcept {
    return innermost == nullptr ? inherited : innermost->effective_;
  }
  bool is_shielded() const noexcept { return innermost != nullptr && innermost->is_shielded_; }
  // Asks the whole chain and the fiber's own bits. Success means that nothing has ended.
  Result<void> ask(Fiber& fiber) noexcept;
  // Sets FiberWord::kScope to what the chain says now.
  void refresh(Fiber& fiber) noexcept;

 private:
  enum class Marking : bool { no, yes };  // yes: a wait is refused, and its scope must remember it
  std::error_code find_reason(Fiber& fiber, Marking marking) noexcept;
};

}  // namespace sched

namespace detail {

// The shared state of a CancellationToken. A child keeps its parent alive; the parent knows the
// child by a node.
class TokenState : public sched::TokenNode {
 public:
  explicit TokenState(TokenState* parent) noexcept;

  void retain() noexcept { references_.fetch_add(1, base::kRelaxed); }
  void release() noexcept;
  void cancel() noexcept;
  bool is_canceled() const noexcept { return canceled_.load(base::kAcquire); }

  // Returns false if the token is already cancelled; `node` is not linked then.
  bool link(sched::TokenNode& node) noexcept;
  void unlink(sched::TokenNode& node) noexcept;
  Result<void> wait() noexcept;

 private:
  bool try_retain() noexcept;
  void cancel_own(sched::WakeList& wakes, base::List<sched::TokenNode>& children) noexcept;

  base::Mutex mutex_;
  base::List<sched::TokenNode> nodes_;
  sched::WaiterList waiters_;
  base::Atomic<bool> canceled_{false};
  base::Atomic<std::uint32_t> references_{1};
  TokenState* parent_;
};

}  // namespace detail
}  // namespace ramie::inline v0
