// See registry.hpp.
#include "signal/registry.hpp"

#include "sched/base/sys.hpp"
#include "sched/wait.hpp"

#include <mutex>
#include <new>

namespace ramie {
inline namespace v0 {
namespace signal {

namespace {

std::size_t index_of(int number) noexcept { return static_cast<std::size_t>(number) - 1; }

}  // namespace

// --- one runtime's ------------------------------------------------------------------------------

std::uint64_t Listeners::arrivals(int number) noexcept {
  const std::lock_guard lock(mutex_);
  return arrivals_[index_of(number)];
}

// The count is read again after the wait: what came while the fiber was on its way back belongs to
// this recv().
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
  sched::WakeList wakes;  // fires when the lock is free again
  const std::lock_guard lock(mutex_);
  is_shut_down_ = true;
  while (sched::Waiter* waiter = waiters_.pop_front()) (void)wakes.claim(*waiter);
}

// --- everybody's --------------------------------------------------------------------------------

Registry& Registry::instance() {
  static Registry* const registry = new Registry;
  return *registry;
}

namespace {

// The first use, when the program is loaded: a fork that came during another thread's first use
// would leave the object half made in the child. The runtimes of before are the parent's: in the
// child nothing of theirs is touched.
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
  const SignalSet arrived = pipe::take();
  if (arrived == 0) return;
  if (pipe::is_shutdown_requested()) shutdown_token_.cancel();
  const std::lock_guard lock(mutex_);
  for (Listeners* each = runtimes_.front(); each != nullptr; each = runtimes_.next(*each)) {
    each->count(arrived);
    each->wake(arrived, wakes);
  }
}

}  // namespace signal
}  // namespace v0
}  // namespace ramie
