// Where waiters stand in line: the part of every primitive that only the library looks into.
//
// It is made on first use, so that a primitive can be a constant-initialised global.
#pragma once

#include <ramie/detail/atomic.hpp>
#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>

namespace ramie {
inline namespace v0 {

namespace sched {
class Line;
}

namespace detail {

class WaitLine {
 public:
  constexpr WaitLine() noexcept = default;
  ~WaitLine() {
    if (made_.load(std::memory_order_relaxed) != kNot) destroy();
  }
  WaitLine(const WaitLine&) = delete;
  WaitLine& operator=(const WaitLine&) = delete;

 private:
  friend class sched::Line;
  enum Made : std::uint32_t { kNot, kBeing, kDone };

  RAMIE_API void destroy() noexcept;

  Atomic<std::uint32_t> made_{kNot};
  alignas(void*) std::byte space_[3 * sizeof(void*) * kRoom] = {};
};

// What every function that may wait does first: spends budget, and tells whether the fiber was
// cancelled.
[[nodiscard]] RAMIE_API Result<void> enter_wait() noexcept;

}  // namespace detail
}  // namespace v0
}  // namespace ramie
