// The latency histogram against the truth: every sample kept and sorted.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "tools/demo/histogram.hpp"

using demo::Histogram;

namespace {

std::uint64_t exact(const std::vector<std::uint64_t>& sorted, double quantile) {
  const auto rank =
      static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

void compare(std::vector<std::uint64_t> samples) {
  Histogram histogram;
  for (const std::uint64_t sample : samples) histogram.record(sample);
  std::sort(samples.begin(), samples.end());
  REQUIRE(histogram.count() == samples.size());
  CHECK(histogram.max() == samples.back());
  for (const double quantile : {0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const std::uint64_t want = exact(samples, quantile), got = histogram.quantile(quantile);
    INFO("quantile " << quantile);
    CHECK(got >= want);
    CHECK(static_cast<double>(got - want) <= 0.01 * static_cast<double>(want));
  }
}

}  // namespace

TEST_CASE("Histogram: every quantile is within one per cent of the sorted samples") {
  std::mt19937_64 random(7);
  const std::vector<std::function<std::uint64_t()>> shapes = {
      [&] { return random() % 100; },
      [&] { return random() % 1'000'000; },
      [&] { return random() % Histogram::kLargest; },
      [&] { return std::uint64_t{1} << (random() % 40); },
      [&] { return (std::uint64_t{1} << (random() % 40)) - 1; },
      [&] {
        return static_cast<std::uint64_t>(std::exp(std::normal_distribution(11.0, 1.5)(random)));
      },
      [] { return std::uint64_t{42}; },
  };
  for (const auto& shape : shapes) {
    std::vector<std::uint64_t> samples(20000);
    std::generate(samples.begin(), samples.end(), shape);
    compare(samples);
  }
  compare({0});
  compare({Histogram::kLargest});
}

TEST_CASE("Histogram: a merge equals recording everything in one") {
  std::mt19937_64 random(8);
  Histogram one, two, both;
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t sample = random() % 5'000'000;
    (i % 3 == 0 ? one : two).record(sample);
    both.record(sample);
  }
  one.merge(two);
  CHECK(one.count() == both.count());
  CHECK(one.max() == both.max());
  for (double quantile = 0; quantile <= 1; quantile += 0.01) {
    CHECK(one.quantile(quantile) == both.quantile(quantile));
  }
}

TEST_CASE("Histogram: empty gives zero, and too large a value is capped") {
  Histogram histogram;
  CHECK(histogram.quantile(0.5) == 0);
  histogram.record(UINT64_MAX);
  CHECK(histogram.quantile(0.5) == Histogram::kLargest);
  histogram.clear();
  CHECK(histogram.count() == 0);
}
