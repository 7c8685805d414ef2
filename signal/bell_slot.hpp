// One runtime's place in the table that the signal handler reads: its bell, an eventfd.
//
//   free --hang(bell)--> hung --take_down(bell)--> free, but handlers may still be using the bell
//                                                   until is_in_use() is false
//
// The handler sets a bit in `pending` and then calls ring() for each place. It may interrupt any
// code, so all words are atomics that need no lock.
//
// ORDER(signal-1), in ring() and take_down(). The handler counts itself, then reads the bell; the
// owner takes the bell down, then reads the count. With seq_cst one of them sees the other (S4). A
// handler does not count itself for a free place, so an owner waits only for handlers that are
// already in ring().
//
// ORDER(signal-2), in ring() and hang(). The owner hangs the bell, then looks for pending signals;
// the handler sets its bit, then looks for bells. One of them sees the other, so the first runtime
// hears the signals that arrived while there was none. Both looks of the handler count: the first
// one, too, must be seq_cst.
#pragma once

#include "sched/base/atomic.hpp"

#include <cstdint>

namespace ramie::inline v0::signal::handlers {

class BellSlot {
 public:
  // From a handler. `ring_bell(bell)` is called if a bell hangs here.
  template <class RingBell>
  void ring(RingBell&& ring_bell) noexcept {
    if (bell_.load(base::kSeqCst) == kNone) return;
    ringing_.fetch_add(1, base::kSeqCst);
    if (const int bell = bell_.load(base::kSeqCst); bell != kNone) ring_bell(bell);
    ringing_.fetch_sub(1, base::kSeqCst);
  }

  // --- under the lock of handlers.cpp
  bool is_free() const noexcept { return bell() == kNone; }
  int bell() const noexcept { return bell_.load(base::kRelaxed); }
  // Look for pending signals afterwards.
  void hang(int bell) noexcept { bell_.store(bell, base::kSeqCst); }
  // Returns false if another bell hangs here. Wait until !is_in_use() before the bell is closed.
  bool take_down(int bell) noexcept {
    return bell_.compare_exchange_strong(bell, kNone, base::kSeqCst);
  }
  bool is_in_use() const noexcept { return ringing_.load(base::kSeqCst) != 0; }
  // In a forked child, where no handler of the parent runs.
  void forget() noexcept {
    bell_.store(kNone, base::kRelaxed);
    ringing_.store(0, base::kRelaxed);
  }

  static constexpr int kNone = -1;

 private:
  base::Atomic<int> bell_{kNone};
  base::Atomic<std::uint32_t> ringing_{0};  // handlers that may be using the bell
};

}  // namespace ramie::inline v0::signal::handlers
