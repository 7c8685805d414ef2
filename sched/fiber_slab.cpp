// See fiber_slab.hpp.
#include "sched/fiber_slab.hpp"

#include <mutex>
#include <new>

namespace ramie::inline v0::sched {

FiberSlab::~FiberSlab() {
  if (leaked_) return;
  while (unused_.pop_front() != nullptr) {
  }
  for (Chunk* chunk = chunks_.load(base::kRelaxed); chunk != nullptr;) {
    Chunk* next = chunk->next;
    delete chunk;
    chunk = next;
  }
}

bool FiberSlab::withdraw(FiberList& chain, std::size_t count) noexcept {
  const std::lock_guard lock(mutex_);
  if (unused_.is_empty()) {
    auto* chunk = new (std::nothrow) Chunk;
    if (chunk == nullptr) return false;
    for (Fiber& fiber : chunk->fibers) {
      fiber.timer.owner = &fiber;
      unused_.push_back(fiber);
    }
    chunk->next = chunks_.load(base::kRelaxed);
    // A shutdown raises its flag, then walks.
    chunks_.store(chunk, base::kSeqCst);
  }
  while (chain.size() < count && !unused_.is_empty()) chain.push_back(*unused_.pop_front());
  return true;
}

void FiberSlab::deposit(FiberList& chain) noexcept {
  const std::lock_guard lock(mutex_);
  unused_.append(chain);
}

}  // namespace ramie::inline v0::sched
