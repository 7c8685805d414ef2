// Repetition: how long one operation takes, from batches that are long enough to be measured.
//
//   double n until a batch takes 1/8 of its share -> scale n -> five batches -> median, low, high
//
// Rejected: one long run (a single disturbance moves it and nobody sees that), and the minimum
// alone (it shows the machine at its best, not the program).
#pragma once

#include "bench/support/report.hpp"

#include <ramie/runtime.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace bench {

inline constexpr std::size_t kBatches = 5;

inline double nanos_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

inline Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

/// Nanoseconds per operation of `batch(n)`, which does n operations; about `seconds` in all.
template <class Batch>
Spread measure(double seconds, Batch&& batch) {
  const double share = seconds * 1e9 / static_cast<double>(kBatches + 1);
  const auto run = [&](std::uint64_t n) {
    const auto start = Clock::now();
    batch(n);
    return nanos_since(start);
  };
  std::uint64_t n = 1;
  double took = run(n);
  while (took < share / 8) took = run(n *= 2);
  n = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(n) * share / took));
  std::vector<double> each;
  for (std::size_t i = 0; i < kBatches; ++i) each.push_back(run(n) / static_cast<double>(n));
  return spread_of(std::move(each));
}

/// A runtime with so many workers; every other knob is the environment's.
inline ramie::runtime::Runtime make_runtime(std::uint64_t workers) {
  return ramie::or_throw(ramie::runtime::Builder().workers(workers).build());
}

}  // namespace bench
