// See injector.hpp. The only file that knows moodycamel.
#include "sched/injector.hpp"

#include "sched/fiber.hpp"

#if __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#else
#include <concurrentqueue/concurrentqueue.h>
#endif

#include <mutex>
#include <new>
#include <vector>

namespace ramie::inline v0::sched {

struct Injector::Queue {
  using Fibers = moodycamel::ConcurrentQueue<Fiber*>;
  static constexpr std::size_t kPreallocated = 4096;

  explicit Queue(std::size_t workers) : fibers(kPreallocated, workers + 1, 0), outside(fibers) {
    producers.reserve(workers);
    consumers.reserve(workers);
    spill_first.resize(workers);
    for (std::size_t i = 0; i < workers; ++i) {
      producers.emplace_back(fibers);
      consumers.emplace_back(fibers);
      check(producers.back());
    }
    check(outside);
  }

  // The queue takes its memory from malloc and does not throw; a token without any is null inside.
  static void check(const moodycamel::ProducerToken& token) {
    if (!token.valid()) throw std::bad_alloc();
  }

  Fibers fibers;
  moodycamel::ProducerToken outside;
  std::vector<moodycamel::ProducerToken> producers;
  std::vector<moodycamel::ConsumerToken> consumers;
  std::vector<unsigned char> spill_first;  // by worker: whether it looks at the list first
};

Injector::Injector(std::size_t workers) : queue_(std::make_unique<Queue>(workers)) {}
Injector::~Injector() = default;

void Injector::spill(std::span<Fiber* const> batch) noexcept {
  const std::lock_guard lock(spill_mutex_);
  for (Fiber* fiber : batch) spilled_.push_back(*fiber);
  spilled_size_.fetch_add(batch.size(), base::kRelease);
}

void Injector::push(std::span<Fiber* const> batch, std::size_t producer) noexcept {
  bool is_queued = false;
  if (producer == kOutside) {
    const std::lock_guard lock(outside_mutex_);
    is_queued = queue_->fibers.try_enqueue_bulk(queue_->outside, batch.data(), batch.size());
  } else {
    is_queued =
        queue_->fibers.try_enqueue_bulk(queue_->producers[producer], batch.data(), batch.size());
  }
  if (!is_queued) spill(batch);
  count_.add(batch.size());
}

Fiber* Injector::take_spilled() noexcept {
  if (spilled_size_.load(base::kAcquire) == 0) return nullptr;
  const std::lock_guard lock(spill_mutex_);
  Fiber* fiber = spilled_.pop_front();
  if (fiber != nullptr) spilled_size_.fetch_sub(1, base::kRelaxed);
  return fiber;
}

// Looks at the list and the queue in turn: while thousands wait, the list fills as fast as it
// drains.
Fiber* Injector::take(std::size_t worker) noexcept {
  if (!count_.has_work()) return nullptr;
  unsigned char& spill_first = queue_->spill_first[worker];
  spill_first ^= 1U;
  Fiber* fiber = spill_first != 0 ? take_spilled() : nullptr;
  if (fiber == nullptr && !queue_->fibers.try_dequeue(queue_->consumers[worker], fiber))
    fiber = take_spilled();
  if (fiber != nullptr) count_.subtract(1);
  return fiber;
}

}  // namespace ramie::inline v0::sched
