// The queue of waiters in every primitive. Only the library looks into it.
//
// It is made on first use, so that a primitive can be a constant-initialised global.
#pragma once

#include <ramie/detail/atomic.hpp>
#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>

namespace ramie::inline v0 {

namespace sched {
class WaitQueue;
}

namespace detail {

class WaitQueue {
 public:
  constexpr WaitQueue() noexcept = default;
  ~WaitQueue() {
    if (made_.load(std::memory_order_relaxed) != kUnmade) destroy();
  }
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

 private:
  friend class sched::WaitQueue;
  enum Made : std::uint32_t { kUnmade, kMaking, kMade };

  RAMIE_API void destroy() noexcept;

  Atomic<std::uint32_t> made_{kUnmade};
  alignas(void*) std::byte space_[3 * sizeof(void*) * kRoom] = {};
};

// What every function that may wait does first: spends budget, and is refused if the fiber was
// cancelled.
[[nodiscard]] RAMIE_API Result<void> enter_wait() noexcept;

}  // namespace detail
}  // namespace ramie::inline v0
