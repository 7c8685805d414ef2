// The demo's own load: each of many connections sends a request, waits for its reply, checks it,
// and sends the next. The load has its own runtime with one worker, so that its fibers and those of
// the server are scheduled apart.
#pragma once

#include <cstdint>
#include <string>

#include "tools/demo/histogram.hpp"

namespace demo {

struct LoadPlan {
  std::string address;
  unsigned connections = 1000;
  unsigned seconds = 10;
};

struct LoadResult {
  Histogram latency;  // nanoseconds
  std::uint64_t errors = 0;
  std::string first_error;
  unsigned connected = 0;
  double seconds = 0;

  double per_second() const noexcept {
    return seconds > 0 ? static_cast<double>(latency.count()) / seconds : 0;
  }
};

/// Drives for plan.seconds, with a line of progress per second on stdout. Blocks the thread.
LoadResult run_load(const LoadPlan& plan);

}  // namespace demo
