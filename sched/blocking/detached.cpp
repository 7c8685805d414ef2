// See detached.hpp.
#include "sched/blocking/detached.hpp"

#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"
#include "sched/wait.hpp"

#include <mutex>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

namespace ramie::inline v0::sched {

DetachedCalls::DetachedCalls(std::size_t max_threads, base::Nanos keep_alive) noexcept
    : max_threads_(max_threads), keep_alive_(keep_alive), fork_number_(fork_number()) {}

DetachedCalls::~DetachedCalls() {
  while (alive_.load(base::kAcquire) != 0) base::yield_thread();
}

Result<void> DetachedCalls::perform(DetachedCall& call) noexcept {
  Wait wait(WaitKind::lookup, &call);
  if (auto entered = wait.enter(); !entered) return entered;
  if (const std::error_code refused = submit(call)) return failure(refused);
  auto ended = wait.run_entered(call.mutex_, call.waiters_, [&] { return bool{call.is_done_}; });
  if (!ended) withdraw(call);
  return ended;
}

std::error_code DetachedCalls::submit(DetachedCall& call) noexcept {
  const std::lock_guard lock(mutex_);
  const bool finds_thread = queued_ < idle_;
  if (!finds_thread && threads_ < max_threads_ && !start_thread() && threads_ == 0)
    return std::make_error_code(std::errc::resource_unavailable_try_again);
  call.retain();
  queue_.push_back(call);
  ++queued_;
  if (finds_thread) call_came_.notify_one();
  return {};
}

// Called under the lock. The thread is not told which call it should run: it looks at the queue.
bool DetachedCalls::start_thread() noexcept {
  try {
    std::vector<unsigned> cpus;  // not the attributes of the worker that started it
    if (const Scheduler* scheduler = current_scheduler()) cpus = scheduler->options().blocking_cpus;
    base::start_thread([this, cpus = std::move(cpus)] {
      base::sys::pin_thread(cpus);
      run();
    }).detach();
    ++threads_;
    alive_.fetch_add(1, base::kRelaxed);
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void DetachedCalls::withdraw(DetachedCall& call) noexcept {
  const std::lock_guard lock(mutex_);
  if (!call.is_linked()) return;  // a thread has taken it and keeps it
  queue_.erase(call);
  --queued_;
  call.release();  // not the last one: the caller has another
}

DetachedCall* DetachedCalls::take() noexcept {
  DetachedCall* call = queue_.pop_front();
  if (call != nullptr) --queued_;
  return call;
}

void DetachedCalls::finish(DetachedCall& call) noexcept {
  call.run();
  WakeList wakes;
  const std::lock_guard lock(call.mutex_);
  call.is_done_ = true;
  while (Waiter* waiter = call.waiters_.pop_front()) (void)wakes.claim(*waiter);
}

void DetachedCalls::run() noexcept {
  base::sys::name_thread("ramie-lookup");
  std::unique_lock lock(mutex_);
  for (bool is_over = false;;) {
    if (DetachedCall* call = take()) {
      lock.unlock();
      finish(*call);
      call->release();
      lock.lock();
      is_over = false;
    } else if (is_over) {
      break;
    } else {
      ++idle_;
      const base::Instant until = base::saturating_add(base::now(), keep_alive_);
      is_over = call_came_.wait_until(lock, until) == std::cv_status::timeout;
      --idle_;
    }
  }
  --threads_;
  lock.unlock();
  alive_.fetch_sub(1, base::kRelease);
}

std::size_t DetachedCalls::threads() const noexcept {
  const std::lock_guard lock(mutex_);
  return threads_;
}

std::size_t DetachedCalls::queued() const noexcept {
  const std::lock_guard lock(mutex_);
  return queued_;
}

}  // namespace ramie::inline v0::sched
