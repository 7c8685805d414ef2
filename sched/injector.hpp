// The global queue: fibers from outside, and what does not fit into a worker's own queue.
//
// It is moodycamel's queue with explicit tokens: one producer for each worker, and one for all
// other threads, under a short lock. (Its implicit producers are keyed by the address of a
// thread_local, which is stale after a migration.) try_enqueue never allocates. Where it fails, the
// fiber goes to an intrusive list, because a wake must not fail (F8). Yields do not use it: a
// token's own items come back first.
//
// A consumer token stays with one producer for at most 256 items, so a flooding producer cannot
// starve a rare one.
#pragma once

#include "sched/base/mutex.hpp"
#include "sched/inject_count.hpp"
#include "sched/waiter.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace ramie::inline v0::sched {

class Injector {
 public:
  static constexpr std::size_t kOutside = ~std::size_t{0};

  explicit Injector(std::size_t workers);
  ~Injector();

  // `producer` is the calling worker's index, or kOutside.
  void push(std::span<Fiber* const> batch, std::size_t producer) noexcept;
  // Returns one fiber for `worker`, or null. If it is null and has_work() is true, try again.
  Fiber* take(std::size_t worker) noexcept;

  bool has_work() const noexcept { return count_.has_work(); }
  std::int64_t size() const noexcept { return count_.size(); }

 private:
  struct Queue;

  void spill(std::span<Fiber* const> batch) noexcept;
  Fiber* take_spilled() noexcept;

  std::unique_ptr<Queue> queue_;
  InjectCount count_;
  base::Mutex outside_mutex_;
  base::Mutex spill_mutex_;
  FiberList spilled_;
  base::Atomic<std::size_t> spilled_size_{0};
};

}  // namespace ramie::inline v0::sched
