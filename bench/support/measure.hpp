// Measures how long one operation takes, from batches that are long enough to measure.
//
//   double n until a batch takes 1/8 of its share -> scale n -> five batches -> median and bounds
//
// Rejected: one long run (a single disturbance changes it unnoticed), and only the minimum (it
// shows the best moment of the machine, not the program).
#pragma once

#include "bench/support/report.hpp"

#include <ramie/runtime.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
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

/// Nanoseconds per operation: by the clock, and CPU time of all threads together. If other programs
/// use the machine, the CPU time is steadier.
struct Cost {
  Spread wall, cpu;

  Cost divided_by(double divisor) const {
    return {wall.divided_by(divisor), cpu.divided_by(divisor)};
  }
  /// `name`_ns, its bounds, and `name`_cpu_ns.
  void add_to(Line& line, const std::string& name) const {
    line.add(name + "_ns", wall).add(name + "_cpu_ns", cpu.median);
  }
};

/// The cost of one operation. `batch(n)` does n of them; the measurement takes about `seconds`.
template <class Batch>
Cost measure(double seconds, Batch&& batch) {
  const double share = seconds * 1e9 / static_cast<double>(kBatches + 1);
  const auto run = [&](std::uint64_t n) {
    const auto start = Clock::now();
    batch(n);
    return nanos_since(start);
  };
  // The faster of two: a disturbance must not make a tiny batch look long.
  const auto at_best = [&](std::uint64_t n) { return std::min(run(n), run(n)); };
  std::uint64_t n = 1;
  double took = at_best(n);
  while (took < share / 8) took = at_best(n *= 2);
  n = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(n) * share / took));
  std::vector<double> wall, cpu;
  for (std::size_t i = 0; i < kBatches; ++i) {
    const double before = own_cpu_seconds();
    wall.push_back(run(n) / static_cast<double>(n));
    cpu.push_back((own_cpu_seconds() - before) * 1e9 / static_cast<double>(n));
  }
  return {spread_of(std::move(wall)), spread_of(std::move(cpu))};
}

/// A runtime with this number of workers; the environment sets every other knob.
inline ramie::runtime::Runtime make_runtime(std::uint64_t workers) {
  return ramie::or_throw(ramie::runtime::Builder().workers(workers).build());
}

}  // namespace bench
