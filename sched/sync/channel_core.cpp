// See ramie/sync/channel_core.hpp: the parts that wait or wake.
#include <ramie/sync/channel_core.hpp>

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "sched/sync/wait_queue.hpp"

#include <ramie/task.hpp>

#include <cstdlib>
#include <new>

namespace ramie::inline v0::sync::mpsc::detail {

using sched::WaitQueue;

RAMIE_API std::uint32_t check_capacity(std::size_t capacity) noexcept {
  RAMIE_CHECK(capacity >= 1 && capacity <= ChannelCore::kMaxCapacity,
              "an mpsc channel of capacity %zu: want 1 to %u", capacity, ChannelCore::kMaxCapacity);
  return static_cast<std::uint32_t>(capacity);
}

// --- the slots' memory ---------------------------------------------------------------------------

// A mapping of its own: malloc would reuse resident memory, and then clear it. Under
// AddressSanitizer malloc is used, since it is watched.
Room::Room(std::size_t count, std::size_t each, std::size_t alignment) {
  constexpr std::size_t kMapped = std::size_t{32} * 1024;
  if (__builtin_mul_overflow(count, each, &bytes_)) throw std::bad_alloc();
  const bool is_aligned = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  if (!is_aligned || (bytes_ >= kMapped && RAMIE_ASAN == 0)) {
    int error = 0;
    memory_ = base::sys::map(bytes_, error);
    is_mapped_ = memory_ != nullptr;
  }
  if (memory_ == nullptr && is_aligned) memory_ = std::calloc(count, each);
  if (memory_ == nullptr) throw std::bad_alloc();
}

Room::~Room() {
  if (is_mapped_) (void)base::sys::unmap(memory_, bytes_);
  else std::free(memory_);
}

// --- senders ------------------------------------------------------------------------------------

// Called under the senders' lock.
void ChannelCore::clear_queued_if_empty() noexcept {
  if (!WaitQueue::of(senders_queue_).waiters.is_empty()) return;
  head_.fetch_and(~kSendersWait, base::kAcqRel);
  tail_.fetch_and(~kQueued, base::kAcqRel);
}

// Called under the senders' lock. False: both words say that a sender waits.
bool ChannelCore::take_permit_or_queue(bool& is_closed) noexcept {
  tail_.fetch_or(kQueued, base::kAcqRel);
  const std::uint64_t head = head_.fetch_or(kSendersWait, base::kAcqRel);
  const std::uint64_t tail = tail_.load(base::kAcquire);  // from now on nobody else adds to it
  is_closed = (tail & kClosed) != 0;
  const bool is_first = WaitQueue::of(senders_queue_).waiters.is_empty();
  if (!is_closed) {
    if (!is_first || !has_room(tail, position_of(head))) return false;
    tail_.fetch_add(kPermitUnit, base::kAcqRel);
  }
  clear_queued_if_empty();
  return true;
}

Result<void> ChannelCore::wait_room() noexcept {
  sched::Wait wait(sched::WaitKind::channel, this);
  WaitQueue& queue = WaitQueue::of(senders_queue_);
  bool is_closed = false;
  auto by = queue.wait(wait, [&] { return take_permit_or_queue(is_closed); });
  if (!by) {
    const std::lock_guard lock(queue.mutex);
    clear_queued_if_empty();
    return failure(by.error());
  }
  if (is_closed || *by == WaitQueue::kClosed) return failure(errc::closed);
  return {};
}

// Gives permits to waiting senders, as far as there is room.
void ChannelCore::let_senders_in() noexcept {
  WaitQueue& queue = WaitQueue::of(senders_queue_);
  sched::WakeList wakes;
  const std::lock_guard lock(queue.mutex);
  while (!queue.waiters.is_empty()) {
    const std::uint32_t head = position_of(head_.load(base::kAcquire));
    if (!has_room(tail_.load(base::kAcquire), head)) return;
    sched::Waiter& first = *queue.waiters.pop_front();
    if (queue.serve(wakes, first, WaitQueue::kServed, WaitQueue::kPassedOver))
      tail_.fetch_add(kPermitUnit, base::kAcqRel);
  }
  clear_queued_if_empty();
}

ChannelCore::Place ChannelCore::use_permit() noexcept {
  std::uint64_t tail = tail_.load(base::kAcquire);
  for (;;) {
    if ((tail & kGone) != 0) {
      give_permit_back();
      return {Claim::closed, 0};
    }
    const std::uint64_t next = (tail - kPermitUnit + kTailUnit) & ~kReceiverWaits;
    const bool wakes = (tail & kReceiverWaits) != 0;
    if (tail_.compare_exchange_weak(tail, next, base::kAcqRel, base::kAcquire))
      return {wakes ? Claim::claimed_wake : Claim::claimed, position_of(tail)};
  }
}

void ChannelCore::give_permit_back() noexcept {
  const std::uint64_t old = tail_.fetch_sub(kPermitUnit, base::kAcqRel);
  if ((old & kQueued) != 0) let_senders_in();
  // A closed channel may have waited for this permit.
  if ((old & (kClosed | kReceiverWaits)) == (kClosed | kReceiverWaits)) wake_receiver();
}

Result<void> ChannelCore::wait_closed() noexcept {
  sched::Wait wait(sched::WaitKind::channel, this);
  if (auto entered = wait.enter(); !entered) return entered;
  auto by = WaitQueue::of(closed_queue_).wait(wait, [this] { return is_closed(); });
  if (!by) return failure(by.error());
  return {};
}

bool ChannelCore::drop_sender() noexcept {
  if (senders_.fetch_sub(1, base::kAcqRel) != 1) return false;
  add_flags(kNoSenders);
  return owners_.fetch_sub(1, base::kAcqRel) == 1;
}

// --- the receiver -------------------------------------------------------------------------------

void ChannelCore::add_flags(std::uint64_t flags) noexcept {
  const std::uint64_t old = tail_.fetch_or(flags, base::kAcqRel);
  if ((old & kReceiverWaits) != 0) wake_receiver();
}

// The channel is empty, and no value will come.
bool ChannelCore::has_ended(std::uint64_t tail) const noexcept {
  if (position_of(tail) != next_) return false;
  return (tail & kNoSenders) != 0 || ((tail & kClosed) != 0 && permits_of(tail) == 0);
}

// Called under the receiver's lock. False: RECEIVER_WAITS is on.
bool ChannelCore::is_value_or_end() noexcept {
  std::uint64_t tail = tail_.load(base::kAcquire);
  do {
    if (position_of(tail) != next_ || has_ended(tail)) return true;
  } while (
      !tail_.compare_exchange_weak(tail, tail | kReceiverWaits, base::kAcqRel, base::kAcquire));
  return false;
}

Result<void> ChannelCore::look_for_value(const Flag& ready) noexcept {
  const std::uint64_t tail = tail_.load(base::kAcquire);
  if (has_ended(tail)) {
    sched::note_fruitless();
    return failure(errc::closed);
  }
  if (position_of(tail) == next_) return failure(errc::empty);
  while (!ready.load(base::kAcquire)) yield_now();
  return {};
}

Result<void> ChannelCore::wait_value(const Flag& ready) noexcept {
  for (;;) {
    auto seen = look_for_value(ready);
    if (seen || seen.error() != errc::empty) return seen;
    sched::Wait wait(sched::WaitKind::channel, this);
    auto by = WaitQueue::of(receiver_queue_).wait(wait, [this] { return is_value_or_end(); });
    if (!by) {
      tail_.fetch_and(~kReceiverWaits, base::kRelaxed);
      return failure(by.error());
    }
  }
}

// It may come late and find the receiver in a later wait, which then looks again.
void ChannelCore::wake_receiver() noexcept {
  WaitQueue& queue = WaitQueue::of(receiver_queue_);
  sched::WakeList wakes;
  {
    const std::lock_guard lock(queue.mutex);
    tail_.fetch_and(~kReceiverWaits, base::kRelaxed);
    (void)queue.serve_one(wakes);
  }
  wakes.fire();
}

void ChannelCore::close() noexcept {
  add_flags(kClosed);
  sched::WakeList wakes;
  {
    WaitQueue& senders = WaitQueue::of(senders_queue_);
    const std::lock_guard lock(senders.mutex);
    senders.serve_all(wakes, WaitQueue::kClosed, WaitQueue::kPassedOver);
    clear_queued_if_empty();
  }
  WaitQueue& watchers = WaitQueue::of(closed_queue_);
  const std::lock_guard lock(watchers.mutex);
  watchers.serve_all(wakes, WaitQueue::kServed, WaitQueue::kTold);
}

void ChannelCore::begin_drop() noexcept {
  close();
  add_flags(kGone);
}

bool ChannelCore::drop_receiver() noexcept { return owners_.fetch_sub(1, base::kAcqRel) == 1; }

}  // namespace ramie::inline v0::sync::mpsc::detail
