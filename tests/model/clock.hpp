// Vector clocks: who has heard of which step of whom.
//
// Every thread counts its own steps (ticks). A Clock holds, for each thread, the last tick that
// its owner has heard of; "step (t, k) happened before me" is one compare: k <= clock.at[t].
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

  // True if everything `other` has heard of, we have heard of too.
  [[nodiscard]] bool covers(const Clock& other) const noexcept {
    bool all = true;
    for (std::size_t i = 0; i < at.size(); ++i) all &= other.at[i] <= at[i];
    return all;
  }

  // True if we have heard of at least one of the steps in `steps` (kNever: no step there).
  [[nodiscard]] bool covers_any(const Clock& steps) const noexcept {
    bool any = false;
    for (std::size_t i = 0; i < at.size(); ++i) any |= steps.at[i] <= at[i];
    return any;
  }
};

// What travels along happens-before: the steps heard of, and how far into the order of the
// seq_cst fences they reach (the number of the last fence among them).
struct View {
  Clock clock;
  std::uint16_t fences = 0;

  void join(const View& other) noexcept {
    clock.join(other.clock);
    fences = std::max(fences, other.fences);
  }
};

}  // namespace ramie::model
