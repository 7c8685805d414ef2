// The process's own DetachedCalls: see detached.hpp. A separate file, since the models do not use
// it.
#include "sched/blocking/detached.hpp"
#include "sched/fork.hpp"

#include <memory>
#include <mutex>

namespace ramie::inline v0::sched {

namespace {

constexpr std::size_t kLookupThreads = 8;
constexpr base::Nanos kKeepAlive{10'000'000'000};

base::Atomic<DetachedCalls*>& process_slot() noexcept {
  static constinit base::Atomic<DetachedCalls*> slot{nullptr};
  return slot;
}

}  // namespace

DetachedCalls& DetachedCalls::of_process() {
  base::Atomic<DetachedCalls*>& slot = process_slot();
  DetachedCalls* found = slot.load(base::kAcquire);
  if (found != nullptr && found->fork_number_ == fork_number()) return *found;
  // Never destroyed: its threads may outlive main().
  auto made = std::make_unique<DetachedCalls>(kLookupThreads, kKeepAlive);
  made->parents_ = found;
  if (slot.compare_exchange_strong(found, made.get(), base::kAcqRel, base::kAcquire))
    return *made.release();
  made->parents_ = nullptr;
  return *found;
}

std::size_t DetachedCalls::idle_in_process() noexcept {
  const DetachedCalls* found = process_slot().load(base::kAcquire);
  if (found == nullptr || found->fork_number_ != fork_number()) return 0;
  const std::lock_guard lock(found->mutex_);
  return found->idle_;
}

}  // namespace ramie::inline v0::sched
