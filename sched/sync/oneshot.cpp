// See ramie/sync/oneshot.hpp. A WAITS bit is on while that side waits in its queue. It changes
// under the queue's lock.
#include <ramie/sync/oneshot.hpp>

#include "sched/sync/wait_queue.hpp"

namespace ramie::inline v0::sync::oneshot::detail {

using sched::WaitQueue;

bool Core::begin_send() noexcept {
  std::uint32_t state = state_.load(base::kAcquire);
  while ((state & kClosed) == 0) {
    if (state_.compare_exchange_weak(state, state | kSending, base::kAcqRel, base::kAcquire))
      return true;
  }
  return false;
}

void Core::end_send(std::uint32_t bits) noexcept {
  const std::uint32_t old = state_.fetch_or(bits, base::kAcqRel);
  if ((old & kReceiverWaits) != 0) wake(receiver_);
}

void Core::close() noexcept {
  const std::uint32_t old = state_.fetch_or(kClosed, base::kAcqRel);
  if ((old & kSenderWaits) != 0) wake(sender_);
}

void Core::wake(ramie::detail::WaitQueue& storage) noexcept {
  WaitQueue& queue = WaitQueue::of(storage);
  sched::WakeList wakes;
  {
    const std::lock_guard lock(queue.mutex);
    (void)queue.serve_one(wakes);
  }
  wakes.fire();
}

namespace {

// Waits until one of `bits` is on. Meanwhile `announce` is on.
Result<void> wait_for(ramie::detail::Atomic<std::uint32_t>& state,
                      ramie::detail::WaitQueue& storage, const void* object, std::uint32_t bits,
                      std::uint32_t announce) noexcept {
  sched::Wait wait(sched::WaitKind::channel, object);
  if (auto entered = wait.enter(); !entered) return entered;
  if ((state.load(base::kAcquire) & bits) != 0) return {};
  auto by = WaitQueue::of(storage).wait(
      wait, [&] { return (state.fetch_or(announce, base::kAcqRel) & bits) != 0; });
  state.fetch_and(~announce, base::kRelaxed);
  if (!by) return failure(by.error());
  return {};
}

}  // namespace

Result<void> Core::wait_value() noexcept {
  const std::uint32_t before = state();
  const bool is_refused = (before & (kClosed | kSending)) == kClosed;
  if (!is_refused || (before & kValue) != 0) {
    auto waited = wait_for(state_, receiver_, this, kValue | kSenderEnd, kReceiverWaits);
    if (!waited) return waited;
  }
  if ((state() & kValue) == 0) return failure(errc::closed);
  return {};
}

Result<void> Core::wait_closed() noexcept {
  return wait_for(state_, sender_, this, kClosed, kSenderWaits);
}

}  // namespace ramie::inline v0::sync::oneshot::detail
