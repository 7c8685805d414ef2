// Formats without a locale, so that the table looks the same everywhere.
#include "tools/demo/report.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace demo {

std::string milliseconds(std::uint64_t nanoseconds) {
  const double value = static_cast<double>(nanoseconds) / 1e6;
  char text[48];
  std::snprintf(text, sizeof text, "%.*f ms", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
  return text;
}

std::uint64_t context_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

namespace {

constexpr std::size_t kColumns = 8;
using Cells = std::array<std::string, kColumns>;

Cells cells_of(const Row& row, std::string_view back_end) {
  return {row.load,
          with_commas(static_cast<std::uint64_t>(std::llround(row.per_second))),
          milliseconds(row.p50),
          milliseconds(row.p99),
          row.p999 ? milliseconds(*row.p999) : "-",
          with_commas(row.resident >> 20) + " MiB",
          with_commas(row.switches),
          std::string(back_end)};
}

}  // namespace

std::string format_table(const std::vector<Row>& rows, std::string_view back_end) {
  std::vector<Cells> lines = {
      {"load", "requests/s", "p50", "p99", "p99.9", "RSS", "ctx switches", "back end"}};
  for (const Row& row : rows) lines.push_back(cells_of(row, back_end));
  std::array<std::size_t, kColumns> widths{};
  for (const Cells& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const Cells& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      const std::string fill(widths[i] - line[i].size(), ' ');
      if (i > 0) out.append("  ");
      // The first column is left-aligned, numbers are right-aligned, and no line ends with a blank.
      out.append(i == 0 ? line[i] + fill : i + 1 == kColumns ? line[i] : fill + line[i]);
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace demo
