// Counts the allocations of the whole process and makes the kth fail. Linking failing_memory.cpp
// replaces the allocator: malloc and everything that uses it. Under a sanitizer, which has its own
// malloc, it replaces only operator new.
#pragma once

#include <cstdint>

namespace ramie_test {

class Memory {
 public:
  static constexpr std::uint64_t kEach = ~std::uint64_t{0};

  // From now on the `k`th allocation of any thread fails (0: none, kEach: all).
  static void begin(std::uint64_t k) noexcept;
  // Ends that. Returns the number of allocations.
  static std::uint64_t end() noexcept;
  // Returns the number of allocations since begin().
  static std::uint64_t count() noexcept;
  static bool has_failed() noexcept;
};

}  // namespace ramie_test
