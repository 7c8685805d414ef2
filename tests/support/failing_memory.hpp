// Counts the allocations of the whole process, and makes the kth fail. The program that links
// failing_memory.cpp has its allocator replaced: malloc and what is built on it; under a sanitizer,
// which has malloc itself, operator new only.
#pragma once

#include <cstdint>

namespace ramie_test {

class Memory {
 public:
  static constexpr std::uint64_t kEach = ~std::uint64_t{0};

  // From now on the `k`th allocation of any thread fails (0: none does; kEach: all do).
  static void begin(std::uint64_t k) noexcept;
  // Ends that. Returns how many allocations there were.
  static std::uint64_t end() noexcept;
  // Allocations since begin().
  static std::uint64_t count() noexcept;
  static bool has_failed() noexcept;
};

}  // namespace ramie_test
