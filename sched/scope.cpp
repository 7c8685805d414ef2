// See scope.hpp.
#include "sched/scope.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "sched/unhandled.hpp"
#include "sched/wait.hpp"

#include <ramie/time.hpp>

#include <mutex>

namespace ramie {
inline namespace v0 {
namespace sched {

void ScopeCore::adopt(Fiber& child) noexcept {
  const base::TsanInternal internal;
  child.group = this;
  child.cancel.inherited = deadline_;
  bool is_canceled = false;
  {
    const std::lock_guard lock(mutex_);
    children_.push_back(child);
    size_.fetch_add(1, base::kRelaxed);
    is_canceled = is_canceled_;
  }
  if (is_canceled && !RAMIE_MUTANT(224)) (void)child.word.request(FiberWord::kCancel);
}

void ScopeCore::child_returned(Fiber& child) noexcept {
  base::tsan_release(this);
  const bool has_thrown = child.outcome.load(base::kRelaxed) == detail::Outcome::exception;
  if ((!has_thrown && !was_refused(child)) || policy_ != on_failure::cancel) return;
  WakeList wakes;
  {
    const std::lock_guard lock(mutex_);
    if (first_failure_.exception != nullptr || first_failure_.error) return;
    if (has_thrown) first_failure_.exception = std::exchange(child.exception, nullptr);
    else first_failure_.error = child.error;
    child.outcome.store(detail::Outcome::none, base::kRelaxed);
    is_canceled_ = true;
    for (Fiber* other = children_.front(); other != nullptr; other = children_.next(*other))
      if (other != &child && !RAMIE_MUTANT(226)) wakes.request(*other, FiberWord::kCancel);
  }
  wakes.fire();
}

void ScopeCore::child_ended(Fiber& child) noexcept {
  WakeList wakes;
  if (RAMIE_MUTANT(221)) size_.fetch_sub(1, base::kAcqRel);
  mutex_.lock();
  children_.erase(child);
  const std::size_t before = RAMIE_MUTANT(221) ? 1 : size_.fetch_sub(1, base::kAcqRel);
  if (before == 1 && !RAMIE_MUTANT(222))
    while (Waiter* waiter = waiters_.pop_front()) (void)wakes.claim(*waiter);  // one: the owner
  mutex_.unlock();
  wakes.fire();
}

// A child that is linked cannot have ended, so it needs no reference here.
void ScopeCore::cancel() noexcept {
  WakeList wakes;
  {
    const std::lock_guard lock(mutex_);
    is_canceled_ = !RAMIE_MUTANT(225);
    for (Fiber* child = children_.front(); child != nullptr; child = children_.next(*child))
      wakes.request(*child, FiberWord::kCancel);
  }
  wakes.fire();
}

Result<void> ScopeCore::join(FiberWord::Shield shield) noexcept {
  Wait wait(WaitKind::scope, this, shield);
  auto joined = wait.run(mutex_, waiters_, [&] { return size_.load(base::kRelaxed) == 0; });
  base::tsan_acquire(this);
  return joined;
}

ScopeCore::Failure ScopeCore::take_failure() noexcept {
  const std::lock_guard lock(mutex_);
  return std::exchange(first_failure_, {});
}

}  // namespace sched

namespace {

base::Instant inherited_deadline() noexcept {
  sched::Fiber* fiber = sched::current_fiber();
  return fiber == nullptr ? base::kNever : fiber->cancel.deadline();
}

}  // namespace

Scope::Scope(on_failure policy)
    : core_(std::make_unique<sched::ScopeCore>(policy, inherited_deadline())) {}

Scope::~Scope() {
  if (std::uncaught_exceptions() > unwinding_) core_->cancel();
  if (!core_->join(sched::FiberWord::Shield::no)) {
    core_->cancel();
    (void)core_->join(RAMIE_MUTANT(227) ? sched::FiberWord::Shield::no
                                        : sched::FiberWord::Shield::yes);
  }
  // Nobody asked by join(): a failure must not vanish.
  const auto failed = core_->take_failure();
  if (failed.exception != nullptr) sched::report_lost_exception(failed.exception);
  if (failed.error)
    base::warn("a Scope ended with a child that never ran, and join() did not ask: %s",
               base::sys::describe_error(failed.error.value()));
}

Result<void> Scope::join() {
  auto joined = core_->join(sched::FiberWord::Shield::no);
  if (!joined) return joined;
  auto failed = core_->take_failure();
  if (failed.exception != nullptr) std::rethrow_exception(std::move(failed.exception));
  if (failed.error) return failure(failed.error);
  return {};
}

std::size_t Scope::drain(std::chrono::nanoseconds grace) noexcept {
  const auto ended = timeout(grace, [&] { return core_->join(sched::FiberWord::Shield::no); });
  if (ended) return 0;
  const std::size_t left = core_->size();
  core_->cancel();
  (void)core_->join(sched::FiberWord::Shield::yes);
  return left;
}

void Scope::cancel() noexcept { core_->cancel(); }

std::size_t Scope::size() const noexcept { return core_->size(); }

void Scope::adopt(detail::Task& task) noexcept {
  core_->adopt(task);
  detail::task_submit(task);
  detail::task_detach(task);  // no handle: the scope is the joiner
}

}  // namespace v0
}  // namespace ramie
