// See scope.hpp.
#include "sched/scope.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "sched/unhandled.hpp"
#include "sched/wait.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <mutex>

namespace ramie::inline v0 {
namespace sched {

namespace {

constexpr base::Nanos kLookForEnd{100'000'000};
// The time until the first report. It doubles after each report.
constexpr base::Nanos kPatience = base::kIsModel ? base::Nanos::max() : base::Nanos(1'000'000'000);
constexpr base::Nanos kLongestPatience{60'000'000'000};
constexpr base::Nanos kLeast{100'000'000};  // that cancelled children have for their end

}  // namespace

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
  if (is_canceled) (void)child.word.request(FiberWord::kCancel);
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
    first_failure_.child = child.identity();
    child.outcome.store(detail::Outcome::none, base::kRelaxed);
    is_canceled_ = true;
    for (Fiber* other = children_.front(); other != nullptr; other = children_.next(*other))
      if (other != &child) wakes.request(*other, FiberWord::kCancel);
  }
  wakes.fire();
}

void ScopeCore::child_ended(Fiber& child) noexcept {
  WakeList wakes;
  mutex_.lock();
  children_.erase(child);
  if (size_.fetch_sub(1, base::kAcqRel) == 1)
    while (Waiter* waiter = waiters_.pop_front()) (void)wakes.claim(*waiter);  // one: the owner
  mutex_.unlock();
  wakes.fire();
}

// A child that is linked cannot have ended, so it needs no reference here.
void ScopeCore::cancel() noexcept {
  WakeList wakes;
  {
    const std::lock_guard lock(mutex_);
    is_canceled_ = true;
    for (Fiber* child = children_.front(); child != nullptr; child = children_.next(*child))
      wakes.request(*child, FiberWord::kCancel);
  }
  wakes.fire();
}

Result<void> ScopeCore::wait_for_children(FiberWord::Shield shield,
                                          base::Instant deadline) noexcept {
  Wait wait(WaitKind::scope, this, shield);
  wait.set_deadline(deadline);
  auto joined = wait.run(mutex_, waiters_, [&] { return size_.load(base::kRelaxed) == 0; });
  base::tsan_acquire(this);
  return joined;
}

// Nobody tells a plain thread that a shutdown has left its children behind, so it looks now and
// then.
Result<void> ScopeCore::join(FiberWord::Shield shield, base::Instant deadline) noexcept {
  if (current_fiber() != nullptr || base::kIsModel) return wait_for_children(shield, deadline);
  for (;;) {
    const base::Instant look = base::saturating_add(base::now(), kLookForEnd);
    auto joined = wait_for_children(shield, std::min(deadline, look));
    if (joined) return joined;
    if (are_all_left()) return failure(errc::runtime_gone);
    if (deadline <= base::now()) return joined;
  }
}

// None of them can end while the lock is held.
bool ScopeCore::are_all_left() noexcept {
  const std::lock_guard lock(mutex_);
  for (Fiber* child = children_.front(); child != nullptr; child = children_.next(*child))
    if (!child->is_left_behind()) return false;
  return true;
}

bool ScopeCore::await_canceled(const char* who, bool may_give_up) noexcept {
  Fiber* fiber = current_fiber();
  const base::Instant begin = base::now();
  base::Nanos patience = kPatience;
  base::Instant report_at = base::saturating_add(begin, patience);
  base::Instant give_up_at = base::kNever;
  if (fiber != nullptr && may_give_up)
    give_up_at =
        base::saturating_add(begin, std::max(fiber->scheduler->options().drain_timeout, kLeast));
  for (;;) {
    const auto joined = join(FiberWord::Shield::yes, std::min(report_at, give_up_at));
    if (joined) return true;
    const base::Instant now = base::now();
    name_children(who, now - begin);
    if (joined.error() == errc::runtime_gone) return false;
    if (give_up_at <= now) {
      give_up_at = base::kNever;
      if (!fiber->scheduler->is_shutting_down()) fiber->scheduler->give_up();
    }
    if (now < report_at) continue;
    patience = std::min(patience * 2, kLongestPatience);
    report_at = now + patience;
  }
}

void ScopeCore::name_children(const char* who, base::Nanos after) noexcept {
  constexpr std::size_t kNamed = 5;
  std::array<char, 320> names{};
  std::size_t length = 0;
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (Fiber* child = children_.front(); child != nullptr; child = children_.next(*child)) {
      if (++count > kNamed || length >= names.size()) continue;
      const Fiber::Name name = child->copy_name();
      const int added =
          std::snprintf(names.data() + length, names.size() - length, "%sfiber %lu '%s': %s",
                        count == 1 ? "" : "; ", static_cast<unsigned long>(child->id), name.data(),
                        to_string(child->waits_for.load(base::kRelaxed)));
      length += static_cast<std::size_t>(std::max(added, 0));
    }
  }
  if (count == 0) return;
  base::warn("%s waits for %zu of its fibers, cancelled %.1f s ago: %s%s", who, count,
             std::chrono::duration<double>(after).count(), names.data(),
             count > kNamed ? "; and others" : "");
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
    if (!core_->await_canceled("the end of a Scope", false)) {
      (void)core_.release();  // its children keep using it
      return;
    }
  }
  // Nobody called join(), and a failure must not vanish.
  const auto failed = core_->take_failure();
  if (failed.exception != nullptr) sched::report_lost_exception(failed.child, failed.exception);
  if (failed.error) sched::report_lost_refusal(failed.child, failed.error);
}

void Scope::finish() {
  if (!core_->join(sched::FiberWord::Shield::no)) {
    core_->cancel();
    if (!core_->await_canceled("the end of a scope()", false))
      throw std::system_error(make_error_code(errc::runtime_gone));
  }
  auto failed = core_->take_failure();
  if (failed.exception != nullptr) std::rethrow_exception(std::move(failed.exception));
  if (failed.error) throw std::system_error(failed.error);
}

Result<void> Scope::join() {
  auto joined = core_->join(sched::FiberWord::Shield::no);
  if (!joined) return joined;
  auto failed = core_->take_failure();
  if (failed.exception != nullptr) std::rethrow_exception(std::move(failed.exception));
  if (failed.error) return failure(failed.error);
  return {};
}

std::size_t Scope::drain(detail::Clamped<std::chrono::nanoseconds> grace) noexcept {
  const base::Instant deadline = base::saturating_add(base::now(), std::chrono::nanoseconds(grace));
  if (core_->join(sched::FiberWord::Shield::no, deadline)) return 0;
  const std::size_t left = core_->size();
  core_->cancel();
  (void)core_->await_canceled("Scope::drain()", true);
  return left;
}

void Scope::cancel() noexcept { core_->cancel(); }

std::size_t Scope::size() const noexcept { return core_->size(); }

void Scope::adopt(detail::Task& task) noexcept {
  core_->adopt(task);
  detail::task_submit(task);
  detail::task_detach(task);  // no handle: the scope is the joiner
}

}  // namespace ramie::inline v0
