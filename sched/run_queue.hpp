// A worker's own queue: a ring of 256 slots, with one owner and any number of thieves.
//
//   head = (steal:32 | real:32)      steal == real  <=>  no thief is copying
//            steal      real                     tail
//   ... ------|==========|========================|------
//              a thief     waiting, in order of age
//              copies these
//
// A thief claims half of the waiting elements by moving `real` in one compare-and-swap, copies
// them, then moves `steal`. Slots from `steal` on are not overwritten, so the copy is safe. A
// second thief sees steal != real and goes elsewhere. Indices have 32 bits and wrap. Only the owner
// writes `tail`.
//
// A full ring keeps its older half. It hands the newer half and the new element to `overflow` as
// one batch. So the order of age stays, and what came back from the injector cannot be thrown out
// again.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/cacheline.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie::inline v0::sched {

template <class T, std::uint32_t kCapacity = 256>
class RunQueue {
  static_assert((kCapacity & (kCapacity - 1)) == 0 && kCapacity >= 4);

 public:
  static constexpr std::uint32_t kHalf = kCapacity / 2;
  static constexpr std::size_t kMaxBatch = kHalf + 1;

  // --- owner -------------------------------------------------------------------------------------

  // Appends `element`. If the ring is full, `overflow(std::span<T*>)` gets a batch that includes
  // it.
  template <class Overflow>
  void push(T* element, Overflow&& overflow) {
    for (;;) {
      std::uint64_t head = head_.load(base::kAcquire);
      const std::uint32_t tail = tail_.load(base::kRelaxed);
      if (tail - steal_of(head) < kCapacity) {
        slot(tail).store(element, base::kRelaxed);
        tail_.store(tail + 1, base::kRelease);
        return;
      }
      // a thief makes room soon, but the owner does not wait for it
      if (steal_of(head) != real_of(head)) {
        overflow(std::span<T*>(&element, 1));
        return;
      }
      if (spill_newer_half(head, tail, element, overflow)) return;
    }
  }

  // Appends as many of `batch` as fit, with one store of the tail. Returns their number.
  [[nodiscard]] std::size_t push_batch(std::span<T* const> batch) {
    const std::uint64_t head = head_.load(base::kAcquire);
    const std::uint32_t tail = tail_.load(base::kRelaxed);
    const std::uint32_t room = kCapacity - (tail - steal_of(head));
    const auto n = batch.size() < room ? static_cast<std::uint32_t>(batch.size()) : room;
    for (std::uint32_t i = 0; i < n; ++i) slot(tail + i).store(batch[i], base::kRelaxed);
    tail_.store(tail + n, base::kRelease);
    return n;
  }

  // The place of the next element. has_come_to(): has everything before `place` left the queue?
  std::uint32_t end() const { return tail_.load(base::kRelaxed); }
  bool has_come_to(std::uint32_t place) const {
    return static_cast<std::int32_t>(real_of(head_.load(base::kRelaxed)) - place) >= 0;
  }

  // The oldest element, or null.
  T* pop() {
    std::uint64_t head = head_.load(base::kAcquire);
    for (;;) {
      const std::uint32_t real = real_of(head);
      if (real == tail_.load(base::kRelaxed)) return nullptr;
      const std::uint32_t steal = steal_of(head) == real ? real + 1 : steal_of(head);
      if (head_.compare_exchange_weak(head, pack(steal, real + 1), base::kAcqRel, base::kAcquire))
        return slot(real).load(base::kRelaxed);
    }
  }

  // --- thieves -----------------------------------------------------------------------------------

  // Moves half of the elements, at least one and at most `limit`, into `thief`, the calling
  // worker's own queue. If that is more than half full, moves only the one that is returned.
  // Returns one of the elements (which is not in `thief`'s queue), or null.
  T* steal_into(RunQueue& thief, std::uint32_t limit = kHalf) {
    const std::uint32_t to = thief.tail_.load(base::kRelaxed);
    if (to - steal_of(thief.head_.load(base::kAcquire)) > kHalf) limit = 1;
    std::uint32_t first = 0;
    const std::uint32_t n = claim_half(limit, first);
    if (n == 0) return nullptr;
    for (std::uint32_t i = 0; i + 1 < n; ++i)
      thief.slot(to + i).store(slot(first + i).load(base::kRelaxed), base::kRelaxed);
    T* last = slot(first + n - 1).load(base::kRelaxed);
    release_claim();
    if (n > 1) thief.tail_.store(to + n - 1, base::kRelease);
    return last;
  }

  // --- any thread --------------------------------------------------------------------------------

  std::uint32_t size() const {
    const std::uint64_t head = head_.load(base::kSeqCst);
    return tail_.load(base::kSeqCst) - real_of(head);
  }
  bool is_empty() const { return size() == 0; }

 private:
  using Slot = base::Atomic<T*>;

  static constexpr std::uint64_t pack(std::uint32_t steal, std::uint32_t real) {
    return (std::uint64_t{steal} << 32U) | real;
  }
  static constexpr std::uint32_t steal_of(std::uint64_t head) {
    return static_cast<std::uint32_t>(head >> 32U);
  }
  static constexpr std::uint32_t real_of(std::uint64_t head) {
    return static_cast<std::uint32_t>(head);
  }
  Slot& slot(std::uint32_t index) { return slots_[index & (kCapacity - 1)]; }

  // Takes all 256 elements, publishes the older half again (same slots, new indices), and hands the
  // rest over.
  template <class Overflow>
  bool spill_newer_half(std::uint64_t head, std::uint32_t tail, T* element, Overflow&& overflow) {
    if (!head_.compare_exchange_strong(head, pack(tail, tail), base::kRelease, base::kRelaxed))
      return false;  // a thief was faster, so there is room
    std::array<T*, kMaxBatch> batch;
    for (std::uint32_t i = 0; i < kHalf; ++i)
      batch[i] = slot(tail - kHalf + i).load(base::kRelaxed);
    batch[kHalf] = element;
    tail_.store(tail + kHalf, base::kRelease);
    overflow(std::span<T*>(batch));
    return true;
  }

  std::uint32_t claim_half(std::uint32_t limit, std::uint32_t& first) {
    std::uint64_t head = head_.load(base::kAcquire);
    for (;;) {
      const std::uint32_t real = real_of(head);
      if (steal_of(head) != real) return 0;
      const std::uint32_t waiting = tail_.load(base::kAcquire) - real;
      if (waiting == 0 || waiting > kCapacity) return 0;  // empty, or `head` is stale
      std::uint32_t n = waiting - waiting / 2;
      if (n > limit) n = limit;
      const std::uint64_t claimed = pack(real, real + n);
      if (head_.compare_exchange_weak(head, claimed, base::kAcqRel, base::kAcquire)) {
        first = real;
        return n;
      }
    }
  }

  void release_claim() {
    std::uint64_t head = head_.load(base::kAcquire);
    for (;;) {  // the owner may pop meanwhile
      const std::uint64_t released = pack(real_of(head), real_of(head));
      if (head_.compare_exchange_weak(head, released, base::kAcqRel, base::kAcquire)) return;
    }
  }

  alignas(base::kCacheLine) base::Atomic<std::uint64_t> head_{0};
  alignas(base::kCacheLine) base::Atomic<std::uint32_t> tail_{0};
  std::array<Slot, kCapacity> slots_{};
};

}  // namespace ramie::inline v0::sched
