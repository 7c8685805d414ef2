// Writes one JSON line: the results, the machine, and how much CPU other programs used.
#pragma once

#include "tools/demo/histogram.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

using Clock = std::chrono::steady_clock;

/// The median of several batches, with the lowest and the highest.
struct Spread {
  double median = 0, low = 0, high = 0;

  Spread divided_by(double divisor) const {
    return {median / divisor, low / divisor, high / divisor};
  }
};

/// CPU time since its construction, in cores, that processes other than this one used.
class ForeignCpu {
 public:
  ForeignCpu();
  double cores() const;

 private:
  double others_;  // seconds
  Clock::time_point since_;
};

/// Collects the line; print() writes it to stdout.
class Line {
 public:
  explicit Line(std::string_view bench);

  Line& add(std::string_view key, std::string_view text);
  Line& add(std::string_view key, double number);
  Line& add(std::string_view key, std::uint64_t number);
  /// `key`, `key_low` and `key_high`.
  Line& add(std::string_view key, const Spread& spread);
  /// `prefix`_p50_us, _p90_us, _p99_us and _max_us of nanoseconds.
  Line& add(std::string_view prefix, const demo::Histogram& latency);

  /// Adds the machine and the CPU time of other programs, and writes the line.
  void print();

 private:
  void key(std::string_view name);

  ForeignCpu foreign_;
  std::string text_;
};

/// User and system time of this process, in seconds.
double own_cpu_seconds();

/// The most resident memory so far, in MiB.
double peak_resident_mib();

}  // namespace bench
