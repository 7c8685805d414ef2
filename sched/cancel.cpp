// See cancel.hpp.
#include "sched/cancel.hpp"

#include "sched/base/assert.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"
#include "sched/wait.hpp"

#include <algorithm>
#include <mutex>
#include <new>

namespace ramie::inline v0 {
namespace sched {

// --- scopes --------------------------------------------------------------------------------------

CancelScope::CancelScope(Fiber* fiber, base::Instant deadline, Shielding shielding) noexcept
    : fiber_(fiber), is_shield_(shielding == Shielding::yes) {
  if (fiber_ != nullptr) push(deadline);
}

CancelScope::CancelScope(Fiber* fiber, detail::TokenState* token) noexcept : fiber_(fiber) {
  if (fiber_ == nullptr) return;
  push(base::kNever);
  if (token == nullptr) return;  // of a token that was moved from: it is never cancelled
  token_ = token;
  token_->retain();
  if (token_->link(*this)) return;
  fired_.store(true, base::kRelaxed);
  (void)fiber_->word.request(FiberWord::kScope);
}

void CancelScope::push(base::Instant deadline) noexcept {
  CancelState& state = fiber_->cancel;
  deadline_ = deadline;
  effective_ = is_shield_ ? base::kNever : std::min(deadline, state.deadline());
  is_shielded_ = is_shield_ || state.is_shielded();
  parent_ = state.innermost;
  state.innermost = this;
}

CancelScope::~CancelScope() {
  if (token_ != nullptr) {
    token_->unlink(*this);
    token_->release();
  }
  if (fiber_ == nullptr) return;
  RAMIE_CHECK(fiber_->cancel.innermost == this,
              "timeout(), until() and Shields must end in the reverse order of their start, in "
              "the fiber that began them");
  fiber_->cancel.innermost = parent_;
  // An outer scope may have ended while a shield hid that. And what ended this scope says nothing
  // about the outer ones.
  if (is_shield_ || fiber_->word.cancel_bits() != 0) fiber_->cancel.refresh(*fiber_);
}

void CancelScope::fire(WakeList& wakes) noexcept {
  fired_.store(true, base::kSeqCst);
  wakes.request(*fiber_, FiberWord::kScope);
}

Result<void> CancelScope::verdict() const noexcept {
  if (ended_by_us_ == errc{}) return {};
  return failure(ended_by_us_);
}

std::error_code CancelState::find_reason(Fiber& fiber, Marking marking) noexcept {
  base::Instant now{};
  const auto has_passed = [&now](base::Instant deadline) {
    if (deadline == base::kNever) return false;
    if (now == base::Instant{}) now = base::now();
    return deadline <= now;
  };
  for (CancelScope* scope = innermost; scope != nullptr; scope = scope->parent_) {
    errc reason{};
    if (scope->fired_.load(base::kAcquire)) reason = errc::canceled;
    else if (has_passed(scope->deadline_)) reason = errc::timed_out;
    if (reason != errc{}) {
      if (marking == Marking::yes) scope->ended_by_us_ = reason;
      return reason;
    }
    if (scope->is_shield_) return {};
  }
  const std::uint64_t bits = fiber.word.cancel_bits();
  if ((bits & FiberWord::kCancel) != 0) return errc::canceled;
  if ((bits & FiberWord::kShutdown) != 0) return errc::shutting_down;
  if (has_passed(inherited)) return errc::timed_out;
  return {};
}

Result<void> CancelState::ask(Fiber& fiber) noexcept {
  auto reason = find_reason(fiber, Marking::yes);
  if (!reason && (fiber.word.cancel_bits() & FiberWord::kScope) != 0) {
    refresh(fiber);
    reason = find_reason(fiber, Marking::yes);
  }
  if (!reason) return {};
  // A deadline sets no bit by itself. From here on every wait is refused on entry, also one that
  // would have returned at once.
  (void)fiber.word.request(FiberWord::kScope);
  return failure(reason);
}

// Clears the bit, then looks: whoever ends a scope marks it first and sets the bit afterwards.
void CancelState::refresh(Fiber& fiber) noexcept {
  fiber.word.clear_scope();
  if (find_reason(fiber, Marking::no)) (void)fiber.word.request(FiberWord::kScope);
}

}  // namespace sched

// --- tokens --------------------------------------------------------------------------------------

namespace detail {

using sched::TokenNode;

TokenState::TokenState(TokenState* parent) noexcept : parent_(parent) {
  kind = Kind::child;
  if (parent_ == nullptr) return;
  parent_->retain();
  if (!parent_->link(*this)) canceled_.store(true, base::kRelaxed);
}

// Dropping the last reference to the end of a chain drops the whole chain. It may be longer than
// the stack is deep, so this is a loop, as in cancel().
void TokenState::release() noexcept {
  TokenState* state = this;
  while (state != nullptr && state->references_.fetch_sub(1, base::kAcqRel) == 1) {
    TokenState* parent = state->parent_;
    if (parent != nullptr) parent->unlink(*state);
    delete state;
    state = parent;
  }
}

bool TokenState::try_retain() noexcept {
  std::uint32_t count = references_.load(base::kRelaxed);
  while (count != 0)
    if (references_.compare_exchange_weak(count, count + 1, base::kAcquire, base::kRelaxed))
      return true;
  return false;
}

bool TokenState::link(TokenNode& node) noexcept {
  const std::lock_guard lock(mutex_);
  if (canceled_.load(base::kRelaxed)) return false;
  nodes_.push_back(node);
  return true;
}

void TokenState::unlink(TokenNode& node) noexcept {
  const std::lock_guard lock(mutex_);
  if (node.is_linked()) nodes_.erase(node);
}

void TokenState::cancel_own(sched::WakeList& wakes, base::List<TokenNode>& children) noexcept {
  const std::lock_guard lock(mutex_);
  canceled_.store(true, base::kSeqCst);
  while (TokenNode* node = nodes_.pop_front()) {
    if (node->kind == TokenNode::Kind::scope) static_cast<sched::CancelScope*>(node)->fire(wakes);
    else if (static_cast<TokenState*>(node)->try_retain()) children.push_back(*node);
  }
  while (sched::Waiter* waiter = waiters_.pop_front()) (void)wakes.claim(*waiter);
}

void TokenState::cancel() noexcept {
  retain();  // a woken waiter may drop the last token
  base::List<TokenNode> children;
  sched::WakeList wakes;
  cancel_own(wakes, children);
  wakes.fire();
  while (TokenNode* node = children.pop_front()) {
    auto* child = static_cast<TokenState*>(node);
    child->cancel_own(wakes, children);  // its own children go to the end of the list
    wakes.fire();
    child->release();
  }
  release();
}

Result<void> TokenState::wait() noexcept {
  if (is_canceled()) sched::note_fruitless();
  sched::Wait wait(sched::WaitKind::token, this);
  return wait.run(mutex_, waiters_, [&] { return canceled_.load(base::kRelaxed); });
}

}  // namespace detail

CancellationToken::CancellationToken() : state_(new detail::TokenState(nullptr)) {}
CancellationToken::CancellationToken(const CancellationToken& other) noexcept
    : state_(other.state_) {
  if (state_ != nullptr) state_->retain();
}
CancellationToken::CancellationToken(CancellationToken&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)) {}
CancellationToken& CancellationToken::operator=(CancellationToken other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
CancellationToken::~CancellationToken() {
  if (state_ != nullptr) state_->release();
}
namespace {
// Without this check, a wait would look as if it could be ended, and could not.
void refuse_spent(const void* state, const char* call) noexcept {
  RAMIE_CHECK(state != nullptr,
              "%s with a CancellationToken that was moved from: nothing could cancel it. Pass the "
              "token that it was moved to, or a copy",
              call);
}
}  // namespace

CancellationToken CancellationToken::child() const {
  refuse_spent(state_, "child()");
  return CancellationToken(new detail::TokenState(state_));
}
void CancellationToken::cancel() const noexcept {
  if (state_ != nullptr) state_->cancel();
}
bool CancellationToken::is_canceled() const noexcept {
  return state_ != nullptr && state_->is_canceled();
}
Result<void> CancellationToken::wait() const noexcept {
  refuse_spent(state_, "wait()");
  return state_->wait();
}

CancelGuard::CancelGuard(Clock::time_point deadline) noexcept {
  static_assert(sizeof(sched::CancelScope) <= kSpace);
  ::new (space_)
      sched::CancelScope(sched::current_fiber(), deadline, sched::CancelScope::Shielding::no);
}
CancelGuard::CancelGuard(const CancellationToken& token) noexcept {
  refuse_spent(token.state_, "until()");
  ::new (space_) sched::CancelScope(sched::current_fiber(), token.state_);
}
CancelGuard::CancelGuard(Shielded) noexcept {
  ::new (space_)
      sched::CancelScope(sched::current_fiber(), base::kNever, sched::CancelScope::Shielding::yes);
}
CancelGuard::~CancelGuard() {
  std::launder(reinterpret_cast<sched::CancelScope*>(space_))->~CancelScope();
}
Result<void> CancelGuard::verdict() const noexcept {
  return std::launder(reinterpret_cast<const sched::CancelScope*>(space_))->verdict();
}

}  // namespace ramie::inline v0
