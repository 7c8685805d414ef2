// Bucket arithmetic of histogram.hpp.
#include "tools/demo/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace demo {

// An octave above the first is [128 << shift, 256 << shift): its buckets follow those of shift - 1.
std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  const int shift = std::max(static_cast<int>(std::bit_width(value)) - 1 - kPrecisionBits, 0);
  return static_cast<std::size_t>(shift) * kPerOctave + static_cast<std::size_t>(value >> shift);
}

std::uint64_t Histogram::highest_in(std::size_t bucket) noexcept {
  if (bucket < 2 * kPerOctave) return bucket;
  const std::size_t shift = bucket / kPerOctave - 1;
  const std::uint64_t step = bucket - shift * kPerOctave;
  return ((step + 1) << shift) - 1;
}

void Histogram::record(std::uint64_t value) noexcept {
  const std::uint64_t kept = std::min(value, kLargest);
  ++counts_[bucket_of(kept)];
  ++count_;
  max_ = std::max(max_, kept);
}

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::quantile(double quantile) const noexcept {
  if (count_ == 0) return 0;
  const double exact = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(highest_in(i), max_);
  }
  return max_;
}

}  // namespace demo
