// Vector clocks: which steps of other threads each thread has seen.
//
// Every thread counts its own steps (ticks). A Clock holds, for each thread, the last tick that the
// clock's owner has seen. "Step (t, k) happened before me" is one comparison: k <= clock.at[t].
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace ramie::model {

inline constexpr int kMaxThreads = 8;  // the model's main thread and up to seven more

using Tick = std::uint16_t;
inline constexpr Tick kNever = std::numeric_limits<Tick>::max();

struct Clock {
  std::array<Tick, kMaxThreads> at{};

  void join(const Clock& other) noexcept {
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = std::max(at[i], other.at[i]);
  }

  // Returns true if we have seen everything that `other` has seen.
  [[nodiscard]] bool covers(const Clock& other) const noexcept {
    bool all = true;
    for (std::size_t i = 0; i < at.size(); ++i) all &= other.at[i] <= at[i];
    return all;
  }

  // Returns true if we have seen at least one of the steps in `steps` (kNever: no step there).
  [[nodiscard]] bool covers_any(const Clock& steps) const noexcept {
    bool any = false;
    for (std::size_t i = 0; i < at.size(); ++i) any |= steps.at[i] <= at[i];
    return any;
  }
};

// What happens-before passes on: the steps seen, and how far they reach in the order of the seq_cst
// fences (the number of the last fence among them).
struct View {
  Clock clock;
  std::uint16_t fences = 0;

  void join(const View& other) noexcept {
    clock.join(other.clock);
    fences = std::max(fences, other.fences);
  }
};

}  // namespace ramie::model
