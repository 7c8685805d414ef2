// The table that the demo ends with, and the numbers in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/numbers.hpp"

namespace demo {

/// One line: a load and its results. Latencies are in nanoseconds.
struct Row {
  std::string load;
  double per_second = 0;
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
  std::optional<std::uint64_t> p999;  // not from redis-benchmark
  std::uint64_t resident = 0;
  std::uint64_t switches = 0;
};

/// Rows under one heading, columns aligned; `back_end` stands in each row.
std::string format_table(const std::vector<Row>& rows, std::string_view back_end);

using tool::with_commas;
/// "1.23 ms": three significant digits.
std::string milliseconds(std::uint64_t nanoseconds);

/// Context switches of this process so far, voluntary and involuntary.
std::uint64_t context_switches();

}  // namespace demo
