// The one random source: xorshift, seeded from RAMIE_SEED, one per worker.
#pragma once

#include <cstdint>

namespace ramie::inline v0::base {

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15U + 1) {
    if (state_ == 0) state_ = 1;
  }

  std::uint32_t next() noexcept {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return static_cast<std::uint32_t>(state_ >> 32U);
  }
  // A number in [0, limit).
  std::uint32_t below(std::uint32_t limit) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * limit) >> 32U);
  }

 private:
  std::uint64_t state_;
};

}  // namespace ramie::inline v0::base
