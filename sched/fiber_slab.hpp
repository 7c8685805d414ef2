// Control blocks of one runtime. They are type-stable: reused, and freed only with the runtime. The
// slab is also the registry of all fibers. A shutdown or a dump walks the blocks and retains those
// in use, so a spawn touches no list.
#pragma once

#include "sched/base/mutex.hpp"
#include "sched/fiber.hpp"

#include <cstddef>
#include <type_traits>

namespace ramie::inline v0::sched {

class FiberSlab {
 public:
  FiberSlab() noexcept = default;
  ~FiberSlab();
  FiberSlab(const FiberSlab&) = delete;
  FiberSlab& operator=(const FiberSlab&) = delete;

  // Appends up to `count` unused blocks to `chain`, at least one. Returns false if there is no
  // memory.
  bool withdraw(FiberList& chain, std::size_t count) noexcept;
  void deposit(FiberList& chain) noexcept;

  // Calls `visit(Fiber&)` for every block in use, and holds a reference meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) noexcept(std::is_nothrow_invocable_v<Visit&, Fiber&>) {
    for (Chunk* chunk = chunks_.load(base::kSeqCst); chunk != nullptr; chunk = chunk->next)
      for (Fiber& fiber : chunk->fibers) {
        if (!fiber.try_retain()) continue;
        const HeldReference held(fiber);
        visit(fiber);
      }
  }

  void leak() noexcept { leaked_ = true; }

 private:
  static constexpr std::size_t kChunk = base::kIsModel ? 1 : 64;
  struct Chunk {
    Chunk* next = nullptr;
    Fiber fibers[kChunk];
  };

  base::Mutex mutex_;
  FiberList unused_;
  base::Atomic<Chunk*> chunks_{nullptr};
  bool leaked_ = false;
};

}  // namespace ramie::inline v0::sched
