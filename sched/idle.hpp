// Which workers sleep and which search, and whether one watches.
//
//   RUNNING  --announce()-->  SLEEPING  --retract()-->  RUNNING           the worker itself
//                             SLEEPING  --take_sleeper()-->  SEARCHING    a producer, by choose()
//   RUNNING  --try_begin_search()-->  SEARCHING  --end_search()-->  RUNNING      the worker itself
//   nobody   --try_watch()-->  watched  --stop_watching()-->  nobody             a sleeper
//
// P3 A producer pushes, fences, then looks for a searcher; if there is none, it wakes a sleeper. A
//    worker that goes to sleep announces itself and stops searching, fences, then looks at every
//    queue. With both fences one of the two sees the other. Without one of them both may miss, and
//    a fiber stays in a queue while all workers sleep.
// P4 While one worker runs and another sleeps, one sleeper is the watcher. Its sleep is bounded, so
//    one long-running fiber leaves neither sockets nor waiting work unattended.
//
// The waker counts a sleeper as a searcher before it runs, so a second producer need not wake
// another. The set of sleepers is a bit mask, so choosing one is one read-modify-write without a
// lock. (A mutex here was the first wall that Tokio met.)
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/cacheline.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::sched {

class IdleSet {
 public:
  static constexpr std::size_t kMaxWorkers = 1024;
  static constexpr std::size_t kNobody = ~std::size_t{0};

  explicit IdleSet(std::size_t workers) noexcept
      : workers_(workers), words_((workers + kBits - 1) / kBits) {}

  // --- a worker that goes to sleep or comes back

  void announce(std::size_t worker) noexcept {
    sleeping_[worker / kBits].fetch_or(bit(worker), base::kSeqCst);
  }
  // SLEEPING -> RUNNING, by the worker itself. False: a waker chose it meanwhile, so it is a
  // searcher.
  [[nodiscard]] bool retract(std::size_t worker) noexcept {
    return (sleeping_[worker / kBits].fetch_and(~bit(worker), base::kSeqCst) & bit(worker)) != 0;
  }

  // RUNNING -> SEARCHING, by the worker itself. At most half of the workers search at a time.
  [[nodiscard]] bool try_begin_search() noexcept {
    if (2 * searching_.load(base::kRelaxed) >= workers_) return false;
    searching_.fetch_add(1, base::kSeqCst);
    return true;
  }
  // SEARCHING -> RUNNING, by the worker itself. True: it was the last searcher. If it found work it
  // then wakes another worker; if it found none it looks at every queue again.
  bool end_search() noexcept { return searching_.fetch_sub(1, base::kSeqCst) == 1; }

  // --- a producer, after its push and its fence

  // SLEEPING -> SEARCHING if nobody searches. Returns the worker to unpark, or kNobody.
  [[nodiscard]] std::size_t choose() noexcept {
    if (searching_.load(base::kSeqCst) != 0) return kNobody;
    return take_sleeper();
  }
  // The same, even if another worker searches.
  [[nodiscard]] std::size_t take_sleeper() noexcept {
    for (std::size_t i = 0; i < words_; ++i) {
      std::uint64_t mask = sleeping_[i].load(base::kSeqCst);
      while (mask != 0) {
        const std::uint64_t lowest = mask & (~mask + 1);
        mask = sleeping_[i].fetch_and(~lowest, base::kSeqCst);
        if ((mask & lowest) != 0) {
          searching_.fetch_add(1, base::kSeqCst);
          return i * kBits + static_cast<std::size_t>(std::countr_zero(lowest));
        }
      }
    }
    return kNobody;
  }

  bool is_asleep(std::size_t worker) const noexcept {
    return (sleeping_[worker / kBits].load(base::kSeqCst) & bit(worker)) != 0;
  }
  bool has_sleepers() const noexcept {
    for (std::size_t i = 0; i < words_; ++i)
      if (sleeping_[i].load(base::kSeqCst) != 0) return true;
    return false;
  }
  std::size_t sleepers() const noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < words_; ++i)
      count += static_cast<std::size_t>(std::popcount(sleeping_[i].load(base::kSeqCst)));
    return count;
  }

  // --- the watcher's role

  [[nodiscard]] bool try_watch() noexcept {
    bool expected = false;
    return !watched_.load(base::kRelaxed) &&
           watched_.compare_exchange_strong(expected, true, base::kSeqCst, base::kRelaxed);
  }
  void stop_watching() noexcept { watched_.store(false, base::kSeqCst); }
  bool is_watched() const noexcept { return watched_.load(base::kSeqCst); }

 private:
  static constexpr std::size_t kBits = 64;
  static constexpr std::uint64_t bit(std::size_t worker) {
    return std::uint64_t{1} << (worker % kBits);
  }

  const std::size_t workers_;
  const std::size_t words_;
  alignas(base::kCacheLine) base::Atomic<std::uint32_t> searching_{0};
  base::Atomic<bool> watched_{false};
  alignas(
      base::kCacheLine) std::array<base::Atomic<std::uint64_t>, kMaxWorkers / kBits> sleeping_{};
};

// The right to drive the driver of one shard. One worker has it at a time (P1).
class Baton {
 public:
  [[nodiscard]] bool try_take() noexcept {
    bool free = false;
    return !taken_.load(base::kRelaxed) &&
           taken_.compare_exchange_strong(free, true, base::kSeqCst, base::kRelaxed);
  }
  void release() noexcept { taken_.store(false, base::kSeqCst); }
  bool is_taken() const noexcept { return taken_.load(base::kSeqCst); }

 private:
  base::Atomic<bool> taken_{false};
};

}  // namespace ramie::inline v0::sched
