// How many fibers wait in the injector. This is the only number that may send a worker to sleep.
//
//   push    queue, add(), fence, look for a searcher
//   take    queue, subtract()
//   sleep   only if !has_work() after announce and fence
//
// The count may be too small for a moment, and even negative: a taker may be faster than the add()
// of the pusher.
//
// The queue's own "empty" proves nothing (moodycamel: "likely, but not guaranteed").
//
// Rejected: a bit for "closed" that a push sees. A shutdown stops the workers when every fiber has
// ended or has been left behind, so there is nobody left to be told.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::sched {

class InjectCount {
 public:
  // After the push.
  void add(std::size_t n) noexcept {
    count_.fetch_add(static_cast<std::int64_t>(n), base::kSeqCst);
  }
  // After the take.
  void subtract(std::size_t n) noexcept {
    count_.fetch_sub(static_cast<std::int64_t>(n), base::kSeqCst);
  }
  std::int64_t size() const noexcept { return count_.load(base::kSeqCst); }
  bool has_work() const noexcept { return size() > 0; }

 private:
  base::Atomic<std::int64_t> count_{0};
};

}  // namespace ramie::inline v0::sched
