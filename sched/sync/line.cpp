// See line.hpp.
#include "sched/sync/line.hpp"

#include "sched/base/thread.hpp"

#include <new>

namespace ramie {
inline namespace v0 {
namespace sched {

void Line::make(detail::WaitLine& storage) noexcept {
  static_assert(sizeof(Line) <= sizeof storage.space_);
  static_assert(alignof(Line) <= alignof(void*));
  std::uint32_t made = detail::WaitLine::kNot;
  if (storage.made_.compare_exchange_strong(made, detail::WaitLine::kBeing, base::kAcquire,
                                            base::kAcquire)) {
    ::new (storage.space_) Line;
    storage.made_.store(detail::WaitLine::kDone, base::kRelease);
    return;
  }
  while (storage.made_.load(base::kAcquire) != detail::WaitLine::kDone) base::yield_thread();
}

void Line::destroy(detail::WaitLine& storage) noexcept { of(storage).~Line(); }

}  // namespace sched

namespace detail {

void WaitLine::destroy() noexcept { sched::Line::destroy(*this); }

}  // namespace detail
}  // namespace v0
}  // namespace ramie
