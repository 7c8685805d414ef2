// Latencies in log-linear buckets: 128 per power of two, so that a bucket is at most 0.8 % wide
// and a reported quantile is off by at most that. 35 KiB for any number of samples.
//
//   value   0 .. 127 | 128 .. 255 | 256 .. 511 | ...
//   step        1    |     1      |     2      | ...        up to 2^40 ns (18 minutes), then capped
//
// Rejected: keeping every sample (gigabytes in a long run), a fixed step (no p50 and p99.9 in one).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace demo {

class Histogram {
 public:
  static constexpr int kPrecisionBits = 7;
  static constexpr int kRangeBits = 40;
  static constexpr std::uint64_t kLargest = (std::uint64_t{1} << kRangeBits) - 1;

  void record(std::uint64_t value) noexcept;
  void merge(const Histogram& other) noexcept;
  void clear() noexcept { *this = Histogram{}; }

  std::uint64_t count() const noexcept { return count_; }
  /// The smallest recorded value that at least `quantile` (0..1) of all do not exceed, to within
  /// 0.8 %, never below it. 0 if there is none.
  std::uint64_t quantile(double quantile) const noexcept;
  std::uint64_t max() const noexcept { return max_; }

 private:
  static constexpr std::size_t kPerOctave = std::size_t{1} << kPrecisionBits;
  static constexpr std::size_t kBuckets =
      kPerOctave * static_cast<std::size_t>(kRangeBits - kPrecisionBits + 1);

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t highest_in(std::size_t bucket) noexcept;

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace demo
