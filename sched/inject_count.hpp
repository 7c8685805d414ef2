// How many fibers wait in the injector: the only number that may send a worker to sleep.
//
//   word = 2 * count + closed          signed: a taker may be quicker than the pusher's increment
//
// push:  queue, add(), fence, look for a searcher          take:  queue, subtract()
// sleep: only if !has_work() after announce and fence      close: the bit; a push that sees it is
// told so
//
// The queue's own "empty" proves nothing (moodycamel: "likely, but not guaranteed").
#pragma once

#include "sched/base/atomic.hpp"

#include <cstddef>
#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace sched {

class InjectCount {
 public:
  // After the push. False: the injector is closed, the element will not be taken by a worker.
  bool add(std::size_t n) noexcept {
    const auto step = static_cast<std::int64_t>(n) * 2;
    return (word_.fetch_add(step, base::kSeqCst) & kClosed) == 0;
  }
  void subtract(std::size_t n) noexcept {
    const auto step = static_cast<std::int64_t>(n) * 2;
    word_.fetch_sub(step, base::kSeqCst);
  }
  std::int64_t size() const noexcept { return word_.load(base::kSeqCst) >> 1; }
  bool has_work() const noexcept { return size() > 0; }

  void close() noexcept { word_.fetch_or(kClosed, base::kSeqCst); }
  bool is_closed() const noexcept { return (word_.load(base::kSeqCst) & kClosed) != 0; }

 private:
  static constexpr std::int64_t kClosed = 1;
  base::Atomic<std::int64_t> word_{0};
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
