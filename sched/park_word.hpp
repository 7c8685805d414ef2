// Where one worker sleeps, in one word, so that whoever wakes it knows which system call that
// takes.
//
//            +--> EPOLL  we hold a baton and no operation is in flight: the shard's epoll
//   EMPTY ---+--> RING   operations are in flight: the worker's park site (its io_uring)
//            +--> FUTEX  other workers hold the batons
//   unpark(): any state -> NOTIFIED, then eventfd, site or futex, whichever the old state needs
//
// P2 A NOTIFIED left behind makes the next enter() refuse: an early unpark is never lost. Leaving
//    is an exchange (acquire-release), so what was published before the unpark is seen after the
//    park.
//
// Writers: enter/leave the worker itself, unpark any thread. All are read-modify-write.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace sched {

class ParkWord {
 public:
  // The low byte is the place; for EPOLL the rest is the shard's number.
  enum Place : std::uint32_t { kEmpty = 0, kNotified = 1, kFutex = 2, kRing = 3, kEpoll = 4 };

  struct Was {
    Place place;
    std::uint32_t shard;
  };

  // True: we may sleep in `place`. False: an unpark came before; it is consumed, and the caller
  // looks at all queues.
  [[nodiscard]] bool enter(Place place, std::uint32_t shard = 0) noexcept {
    std::uint32_t expected = kEmpty;
    if (word_.compare_exchange_strong(expected, place | (shard << kShardShift), base::kSeqCst,
                                      base::kAcquire))
      return true;
    leave();
    return false;
  }

  // Back from sleep, whatever ended it. True: an unpark did.
  bool leave() noexcept { return word_.exchange(kEmpty, base::kAcqRel) == kNotified; }

  // The caller wakes the sleeper in the place that this returns.
  [[nodiscard]] Was unpark() noexcept {
    const std::uint32_t old = word_.exchange(kNotified, base::kSeqCst);
    return {static_cast<Place>(old & kPlaceMask), old >> kShardShift};
  }

  bool is_notified() const noexcept { return word_.load(base::kAcquire) == kNotified; }
  const void* futex() const noexcept { return &word_; }
  const base::Atomic<std::uint32_t>& raw() const noexcept { return word_; }

 private:
  static constexpr std::uint32_t kPlaceMask = 0xff;
  static constexpr unsigned kShardShift = 8;

  base::Atomic<std::uint32_t> word_{kEmpty};
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
