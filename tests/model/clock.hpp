// Vector clocks: which steps of other threads each thread has seen.
//
// Every thread counts its own steps (ticks). A Clock holds, for each thread, the last tick that the
// clock's owner has seen. "Step (t, k) happened before me" is one comparison: k <= clock.at[t].
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace ramie::model {

inline constexpr int kMaxThreads = 8;  // the model's main thread and up to seven more

using Tick = std::uint16_t;
inline constexpr Tick kNever = std::numeric_limits<Tick>::max();

// Eight ticks are one vector, which every machine compares at once.
static_assert(kMaxThreads == 8);
using Ticks [[gnu::vector_size(16)]] = Tick;

// One tick of each thread.
inline constexpr std::array<Ticks, kMaxThreads> kOnes{{{1},
                                                       {0, 1},
                                                       {0, 0, 1},
                                                       {0, 0, 0, 1},
                                                       {0, 0, 0, 0, 1},
                                                       {0, 0, 0, 0, 0, 1},
                                                       {0, 0, 0, 0, 0, 0, 1},
                                                       {0, 0, 0, 0, 0, 0, 0, 1}}};

struct Clock {
  std::array<Tick, kMaxThreads> at{};

  // Counts one more step of a thread. (As a vector, since to read one waits for a write of a part.)
  Tick advance(std::size_t thread) noexcept {
    at = std::bit_cast<std::array<Tick, kMaxThreads>>(all() + kOnes[thread]);
    return at[thread];
  }

  void join(const Clock& other) noexcept {
    const Ticks mine = all();
    const Ticks theirs = other.all();
    at = std::bit_cast<std::array<Tick, kMaxThreads>>(mine > theirs ? mine : theirs);
  }

  // Returns true if we have seen everything that `other` has seen.
  [[nodiscard]] bool covers(const Clock& other) const noexcept { return !any(other.all() > all()); }

  // Returns true if we have seen at least one of the steps in `steps` (kNever: no step there).
  [[nodiscard]] bool covers_any(const Clock& steps) const noexcept {
    return any(steps.all() <= all());
  }

 private:
  [[nodiscard]] Ticks all() const noexcept { return std::bit_cast<Ticks>(at); }

  template <class Lanes>
  [[nodiscard]] static bool any(const Lanes& lanes) noexcept {
    const auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(lanes);
    return (halves[0] | halves[1]) != 0;
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
