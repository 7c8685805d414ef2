// See wait_queue.hpp.
#include "sched/sync/wait_queue.hpp"

#include "sched/base/thread.hpp"

#include <new>

namespace ramie::inline v0 {
namespace sched {

void WaitQueue::make(detail::WaitQueue& storage) noexcept {
  static_assert(sizeof(WaitQueue) <= sizeof storage.space_);
  static_assert(alignof(WaitQueue) <= alignof(void*));
  std::uint32_t made = detail::WaitQueue::kUnmade;
  if (storage.made_.compare_exchange_strong(made, detail::WaitQueue::kMaking, base::kAcquire,
                                            base::kAcquire)) {
    ::new (storage.space_) WaitQueue;
    storage.made_.store(detail::WaitQueue::kMade, base::kRelease);
    return;
  }
  while (storage.made_.load(base::kAcquire) != detail::WaitQueue::kMade) base::yield_thread();
}

void WaitQueue::destroy(detail::WaitQueue& storage) noexcept { of(storage).~WaitQueue(); }

}  // namespace sched

namespace detail {

void WaitQueue::destroy() noexcept { sched::WaitQueue::destroy(*this); }

}  // namespace detail
}  // namespace ramie::inline v0
