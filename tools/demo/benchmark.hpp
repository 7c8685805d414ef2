// Runs redis-benchmark, a client that others wrote, as a second measurement.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tools/demo/report.hpp"

namespace demo {

bool has_redis_benchmark();

struct BenchmarkRun {
  std::string_view test;  // "set", "get", ...
  unsigned connections = 50;
  unsigned pipeline = 1;
  unsigned requests = 100000;
};

/// Runs it against "host:port" and waits. Returns nothing if it failed; stderr says why.
std::optional<Row> run_redis_benchmark(std::string_view address, const BenchmarkRun& run);

/// The line of `redis-benchmark --csv` that belongs to `test`; exposed for its test.
std::optional<Row> parse_benchmark_csv(std::string_view output, std::string_view test);

}  // namespace demo
