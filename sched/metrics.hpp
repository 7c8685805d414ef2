// What a worker counts. The owner stores, anybody reads, a reader sums over the workers.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/cacheline.hpp"

#include <cstdint>

namespace ramie::inline v0::sched {

class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(base::kRelaxed) + n, base::kRelease);
  }
  std::uint64_t get() const noexcept { return value_.load(base::kAcquire); }

 private:
  base::Atomic<std::uint64_t> value_{0};
};

struct alignas(base::kCacheLine) WorkerMetrics {
  Counter created;    // control blocks taken here
  Counter recycled;   // control blocks given back here
  Counter runs;       // fibers switched in
  Counter finished;   // fibers that ended here
  Counter parks;      // sleeps begun
  Counter unparks;    // sleeps ended
  Counter notified;   // of these, those that an unpark ended
  Counter polls;      // driver turns
  Counter steals;     // successful
  Counter stolen;     // fibers taken
  Counter overflows;  // full local queue
  Counter lifo_runs;  // from the LIFO slot
  Counter yields;
  Counter watches;    // bounded sleeps that ran out
  Counter injected;   // taken from the injector
  Counter wakes;      // other workers woken by this one
  Counter fruitless;  // waits that ended at once and brought nothing: see spin_watch.hpp
};

}  // namespace ramie::inline v0::sched
