// The table of the demo, and the output that it is read from.
#include <catch2/catch.hpp>

#include "tools/demo/benchmark.hpp"
#include "tools/demo/report.hpp"

TEST_CASE("Report: numbers as people read them") {
  CHECK(demo::with_commas(0) == "0");
  CHECK(demo::with_commas(999) == "999");
  CHECK(demo::with_commas(1000) == "1,000");
  CHECK(demo::with_commas(1234567) == "1,234,567");
  CHECK(demo::milliseconds(0) == "0.00 ms");
  CHECK(demo::milliseconds(1'234'000) == "1.23 ms");
  CHECK(demo::milliseconds(9'996'000) == "10.0 ms");
  CHECK(demo::milliseconds(12'340'000) == "12.3 ms");
  CHECK(demo::milliseconds(1'234'000'000) == "1234 ms");
}

TEST_CASE("Report: columns align, and an unknown quantile is a dash") {
  const std::vector<demo::Row> rows = {{.load = "built in",
                                        .per_second = 123456.7,
                                        .p50 = 1'000'000,
                                        .p99 = 2'000'000,
                                        .p999 = 3'000'000,
                                        .resident = 50u << 20,
                                        .switches = 1234},
                                       {.load = "other",
                                        .per_second = 5,
                                        .p50 = 10'000,
                                        .p99 = 20'000,
                                        .p999 = {},
                                        .resident = 1u << 20,
                                        .switches = 1}};
  CHECK(demo::format_table(rows, "epoll") ==
        "load      requests/s      p50      p99    p99.9     RSS  ctx switches  back end\n"
        "built in     123,457  1.00 ms  2.00 ms  3.00 ms  50 MiB         1,234  epoll\n"
        "other              5  0.01 ms  0.02 ms        -   1 MiB             1  epoll\n");
}

TEST_CASE("Report: the line of redis-benchmark's CSV that belongs to the test") {
  const std::string_view csv =
      "WARNING: Could not fetch server CONFIG\n"
      "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\","
      "\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n"
      "\"SET\",\"81234.50\",\"0.312\",\"0.080\",\"0.303\",\"0.447\",\"0.567\",\"1.231\"\n"
      "\"GET\",\"90000.00\",\"0.312\",\"0.080\",\"0.2\",\"0.447\",\"0.5\",\"1.231\"";
  const auto set = demo::parse_benchmark_csv(csv, "set");
  REQUIRE(set.has_value());
  CHECK(set->per_second == Approx(81234.5));
  CHECK(set->p50 == 303000);
  CHECK(set->p99 == 567000);
  CHECK_FALSE(set->p999.has_value());
  CHECK(demo::parse_benchmark_csv(csv, "GET")->per_second == Approx(90000));
  CHECK_FALSE(demo::parse_benchmark_csv(csv, "incr").has_value());
  CHECK_FALSE(demo::parse_benchmark_csv("", "set").has_value());
}
