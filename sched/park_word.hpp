// Where one worker sleeps, in one word, so that a waker knows which system call it needs.
//
//            +--> EPOLL  the worker holds a baton, and none of its operations is in flight
//   EMPTY ---+--> RING   operations are in flight: it sleeps in its park site (its io_uring)
//            +--> FUTEX  other workers hold the batons
//
//   enter()    EMPTY -> EPOLL, RING or FUTEX    the worker, before it sleeps
//              NOTIFIED -> EMPTY                the same, refused: an unpark came before
//   leave()    any state -> EMPTY               the worker, after its sleep
//   unpark()   any state -> NOTIFIED            any thread; it then uses the eventfd, the site or
//                                               the futex, whichever the old state needs
//
// P2 A NOTIFIED that is left makes the next enter() refuse, so an early unpark is never lost.
//    leave() is an exchange (acquire-release), so what was published before the unpark is seen
//    after the park.
//
// All transitions are read-modify-write.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstdint>

namespace ramie::inline v0::sched {

class ParkWord {
 public:
  // The low byte is the place. For EPOLL the rest is the shard's number.
  enum Place : std::uint32_t { kEmpty = 0, kNotified = 1, kFutex = 2, kRing = 3, kEpoll = 4 };

  struct Was {
    Place place;
    std::uint32_t shard;
  };

  // EMPTY -> `place`, by the worker: it may sleep there. False: an unpark came before. It is
  // consumed, and the worker looks at all queues.
  [[nodiscard]] bool enter(Place place, std::uint32_t shard = 0) noexcept {
    std::uint32_t expected = kEmpty;
    if (word_.compare_exchange_strong(expected, place | (shard << kShardShift), base::kSeqCst,
                                      base::kAcquire))
      return true;
    leave();
    return false;
  }

  // Any state -> EMPTY, by the worker after its sleep. True: an unpark ended the sleep.
  bool leave() noexcept { return word_.exchange(kEmpty, base::kAcqRel) == kNotified; }

  // Any state -> NOTIFIED, by any thread. The caller wakes the sleeper in the place that this
  // returns.
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

}  // namespace ramie::inline v0::sched
