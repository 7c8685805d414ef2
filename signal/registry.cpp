// See registry.hpp.
#include "signal/registry.hpp"

#include "sched/base/sys.hpp"
#include "sched/wait.hpp"

#include <mutex>
#include <new>

namespace ramie::inline v0::signal {

namespace {

std::size_t index_of(int number) noexcept { return static_cast<std::size_t>(number) - 1; }

}  // namespace

// --- the listeners of one runtime ---------------------------------------------------------------

std::uint64_t Listeners::arrivals(int number) noexcept {
  const std::lock_guard lock(mutex_);
  return arrivals_[index_of(number)];
}

// Reads the count again after the wait: a signal that arrives before the fiber runs belongs to this
// recv().
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

void Listeners::wake(SignalSet arrived, sched::WakeList& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  for (sched::Waiter* waiter = waiters_.front(); waiter != nullptr;) {
    sched::Waiter* next = waiters_.next(*waiter);
    if ((waiter->amount & arrived) != 0) {
      waiters_.erase(*waiter);
      (void)wakes.claim(*waiter);
    }
    waiter = next;
  }
}

void Listeners::shut_down() noexcept {
  sched::WakeList wakes;  // wakes them after the lock is released
  const std::lock_guard lock(mutex_);
  is_shut_down_ = true;
  while (sched::Waiter* waiter = waiters_.pop_front()) (void)wakes.claim(*waiter);
}

// --- the registry of the process ----------------------------------------------------------------

Registry& Registry::instance() {
  static Registry* const registry = new Registry;
  return *registry;
}

namespace {

// Makes the registry when the program is loaded. If a thread made it later and another one forked
// at that moment, the child would have half an object. The runtimes in the list belong to the
// parent; the child touches nothing of them.
[[maybe_unused]] const bool is_whole_in_children = [] {
  try {
    (void)Registry::instance();
  } catch (const std::bad_alloc&) {
    return false;
  }
  base::sys::around_forks([]() noexcept { Registry::instance().lock(); },
                          []() noexcept { Registry::instance().unlock(); },
                          []() noexcept { Registry::instance().become_copy(); });
  return true;
}();

}  // namespace

void Registry::become_copy() noexcept {
  while (runtimes_.pop_front() != nullptr) {
  }
  unlock();
}

void Registry::add(Listeners& listeners) noexcept {
  const std::lock_guard lock(mutex_);
  runtimes_.push_back(listeners);
}

void Registry::remove(Listeners& listeners) noexcept {
  const std::lock_guard lock(mutex_);
  if (listeners.is_linked()) runtimes_.erase(listeners);  // not in a forked child
}

void Registry::broadcast(sched::WakeList& wakes) noexcept {
  const SignalSet arrived = handlers::take();
  if (arrived == 0) return;
  if (handlers::is_shutdown_requested()) shutdown_token_.cancel();
  const std::lock_guard lock(mutex_);
  for (Listeners* each = runtimes_.front(); each != nullptr; each = runtimes_.next(*each)) {
    each->count(arrived);
    each->wake(arrived, wakes);
  }
}

}  // namespace ramie::inline v0::signal
