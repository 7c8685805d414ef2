// See registry.hpp.
#include "signal/registry.hpp"

#include "sched/fiber.hpp"
#include "sched/wait.hpp"

#include <mutex>

namespace ramie {
inline namespace v0 {
namespace signal {

namespace {

std::size_t index_of(int number) noexcept { return static_cast<std::size_t>(number) - 1; }

bool runs_in(const sched::Sleeper& sleeper, const sched::Scheduler* scheduler) noexcept {
  return !sleeper.is_thread() && static_cast<const sched::Fiber&>(sleeper).scheduler == scheduler;
}

}  // namespace

// --- one runtime's ------------------------------------------------------------------------------

std::uint64_t Listeners::arrivals(int number) noexcept {
  const std::lock_guard lock(mutex_);
  return arrivals_[index_of(number)];
}

// The count is read again after the wait: what came while the fiber was on its way back belongs to
// this recv(). A claim in vain (the broadcast goes in rounds) waits again.
Result<void> Listeners::wait(int number, std::uint64_t& seen) noexcept {
  const std::uint64_t& arrivals = arrivals_[index_of(number)];
  sched::Wait wait(sched::WaitKind::signal, this);
  for (;;) {
    const auto has_reason = [&] { return arrivals != seen || is_shut_down_; };
    if (auto waited = wait.run(mutex_, waiters_, has_reason, bit_of(number)); !waited)
      return waited;
    const std::lock_guard lock(mutex_);
    if (arrivals != seen) {
      seen = arrivals;
      return {};
    }
    if (is_shut_down_) return failure(errc::shutting_down);
  }
}

void Listeners::count(SignalSet arrived) noexcept {
  const std::lock_guard lock(mutex_);
  for (; arrived != 0; arrived &= arrived - 1)
    ++arrivals_[static_cast<std::size_t>(__builtin_ctzll(arrived))];
}

bool Listeners::wake(SignalSet arrived, const Wakes& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  for (sched::Waiter* waiter = waiters_.front(); waiter != nullptr;) {
    sched::Waiter* next = waiters_.next(*waiter);
    if ((waiter->amount & arrived) != 0) {
      if (wakes.others.is_full()) return false;
      waiters_.erase(*waiter);
      const bool is_own = runs_in(*waiter->sleeper, wakes.here);
      (void)(is_own ? wakes.own : wakes.others).claim(*waiter);
    }
    waiter = next;
  }
  return true;
}

bool Listeners::claim_all(sched::WakeList& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  is_shut_down_ = true;
  while (!wakes.is_full() && !waiters_.is_empty()) (void)wakes.claim(*waiters_.pop_front());
  return waiters_.is_empty();
}

void Listeners::shut_down() noexcept {
  for (bool is_done = false; !is_done;) {
    sched::WakeList wakes;
    is_done = claim_all(wakes);
  }
}

// --- everybody's --------------------------------------------------------------------------------

Registry& Registry::instance() {
  static Registry* const registry = new Registry;
  return *registry;
}

void Registry::add(Listeners& listeners) noexcept {
  const std::lock_guard lock(mutex_);
  runtimes_.push_back(listeners);
}

void Registry::remove(Listeners& listeners) noexcept {
  const std::lock_guard lock(mutex_);
  runtimes_.erase(listeners);
}

void Registry::broadcast(const sched::Scheduler* here, sched::WakeList& own) noexcept {
  const SignalSet arrived = pipe::take();
  if (arrived == 0) return;
  if (pipe::is_shutdown_requested()) shutdown_token_.cancel();
  {
    const std::lock_guard lock(mutex_);
    for (Listeners* each = runtimes_.front(); each != nullptr; each = runtimes_.next(*each))
      each->count(arrived);
  }
  for (bool is_done = false; !is_done;) {
    sched::WakeList others;  // fires when both locks are free again
    const std::lock_guard lock(mutex_);
    is_done = true;
    for (Listeners* each = runtimes_.front(); each != nullptr; each = runtimes_.next(*each))
      is_done = each->wake(arrived, {here, own, others}) && is_done;
  }
}

}  // namespace signal
}  // namespace v0
}  // namespace ramie
