// Starts redis-benchmark in a shell and reads its CSV:
//
//   "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_...
//   "SET","81234.00","0.312","0.080","0.303","0.447","0.567","1.231"
#include "tools/demo/benchmark.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tools/demo/stats.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

struct Output {
  int status = -1;
  std::string text;
};

// The command has only our own words and numbers, and an address that a socket was bound to.
Output run_command(const std::string& command) {
  Output output;
  std::FILE* const pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return output;
  std::array<char, 4096> piece;
  for (std::size_t count; (count = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
    output.text.append(piece.data(), count);
  }
  output.status = pclose(pipe);
  return output;
}

std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ',') fields.emplace_back();
    if (c != ',' && c != '"' && c != '\r') fields.back().push_back(c);
  }
  return fields;
}

}  // namespace

bool has_redis_benchmark() {
  return run_command("command -v redis-benchmark 2>/dev/null").status == 0;
}

std::optional<Row> parse_benchmark_csv(std::string_view output, std::string_view test) {
  constexpr std::size_t kRate = 1, kP50 = 4, kP99 = 6, kFields = 8;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    const std::vector<std::string> fields = split_csv(output.substr(0, end));
    output.remove_prefix(std::min(end + 1, output.size()));
    if (fields.size() != kFields || !equals_ignoring_case(fields[0], test)) continue;
    const auto nanoseconds = [&](std::size_t i) {
      return static_cast<std::uint64_t>(std::strtod(fields[i].c_str(), nullptr) * 1e6);
    };
    Row row;
    row.per_second = std::strtod(fields[kRate].c_str(), nullptr);
    row.p50 = nanoseconds(kP50);
    row.p99 = nanoseconds(kP99);
    return row;
  }
  return std::nullopt;
}

std::optional<Row> run_redis_benchmark(std::string_view address, const BenchmarkRun& run) {
  const std::size_t colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  std::string command = "redis-benchmark --csv -r 10000 -d 32 -h ";
  command.append(host).append(" -p ").append(address.substr(colon + 1)).append(" -t ");
  command.append(run.test).append(" -c ").append(std::to_string(run.connections));
  command.append(" -P ").append(std::to_string(run.pipeline));
  command.append(" -n ").append(std::to_string(run.requests));
  const std::uint64_t switches = context_switches();
  const Output output = run_command(command);
  auto row = parse_benchmark_csv(output.text, run.test);
  if (!row || !WIFEXITED(output.status) || WEXITSTATUS(output.status) != 0) {
    std::fprintf(stderr, "ramie demo: `%s` failed: %s\n", command.c_str(), output.text.c_str());
    return std::nullopt;
  }
  row->load = std::string("redis-benchmark ").append(run.test);
  row->load.append(", ").append(std::to_string(run.connections)).append(" connections");
  if (run.pipeline > 1) row->load.append(", pipeline ").append(std::to_string(run.pipeline));
  row->resident = resident_bytes();
  row->switches = context_switches() - switches;
  return row;
}

}  // namespace demo
