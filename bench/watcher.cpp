// What the watcher (law P4) gains and costs, in pairs: the same load on a server with the watcher
// and on one without, in turns, so that changes of the machine's speed affect both.
//
//   --rate 10000   open loop; one connection keeps its worker busy for 2 ms per message: how long
//                  do the others wait?
//   --rate 0       closed loop without such a connection: requests/s with the watcher over without
#include "bench/support/in_process.hpp"
#include "bench/support/options.hpp"

#include <algorithm>
#include <array>

namespace {

struct Side {
  std::chrono::microseconds watch{0};
  std::vector<double> p50, p90, p99, per_second, cpu, watches, wakes;
};

void run_once(Side& side, const bench::LoadPlan& shape, std::uint64_t workers, bool is_pinned,
              std::chrono::microseconds burn) {
  ramie::runtime::Builder builder;
  builder.workers(workers).watch(side.watch);
  if (is_pinned) builder.affinity(ramie::runtime::Affinity::spread);
  bench::InProcessServer server(ramie::or_throw(builder.build()), burn);
  bench::LoadPlan plan = shape;
  plan.server = server.address();
  const double before = bench::own_cpu_seconds();
  const auto result = bench::run_load_or_exit(plan, plan.rate != 0);
  const double cpu = bench::own_cpu_seconds() - before;
  const auto micros = [&](double quantile) {
    return static_cast<double>(result.latency.quantile(quantile)) / 1e3;
  };
  side.p50.push_back(micros(0.5));
  side.p90.push_back(micros(0.9));
  side.p99.push_back(micros(0.99));
  side.per_second.push_back(result.per_second());
  const auto metrics = server.metrics();
  const auto requests = static_cast<double>(std::max<std::uint64_t>(1, result.requests));
  side.cpu.push_back(cpu * 1e6 / requests);
  side.watches.push_back(static_cast<double>(metrics.watches) / plan.seconds);
  side.wakes.push_back(static_cast<double>(metrics.wakes) / plan.seconds);
}

void add(bench::Line& line, const std::string& name, const Side& side) {
  line.add(name + "_p50_us", bench::spread_of(side.p50))
      .add(name + "_p90_us", bench::spread_of(side.p90))
      .add(name + "_p99_us", bench::spread_of(side.p99))
      .add(name + "_per_second", bench::spread_of(side.per_second))
      .add(name + "_cpu_us_per_request", bench::spread_of(side.cpu))
      .add(name + "_watches_per_second", bench::spread_of(side.watches).median)
      .add(name + "_wakes_per_second", bench::spread_of(side.wakes).median);
}

}  // namespace

int main(int argc, char** argv) {
  bench::LoadPlan plan;
  plan.rate = 10'000;
  plan.seconds = 1;
  std::uint64_t workers = 2, rounds = 5, watch = 500, burn = 2000, pinned = 1;
  bench::Options("watcher: latencies and requests/s with and without the watcher")
      .whole("--workers", workers, 1, 1024, "worker threads of the server")
      .whole("--connections", plan.connections, 2, 100'000, "open at the same time")
      .whole("--rate", plan.rate, 0, 10'000'000, "messages/s, open loop; 0: closed loop, no burner")
      .whole("--burn-us", burn, 0, 1'000'000, "CPU time of each message of one connection")
      .whole("--watch-us", watch, 50, 100'000, "the bound of the watcher's sleep")
      .whole("--pinned", pinned, 0, 1, "1: each worker has its own CPU")
      .whole("--rounds", rounds, 1, 1000, "pairs")
      .real("--seconds", plan.seconds, 0.01, 3600, "length of each run")
      .parse(argc, argv);
  bench::allow_many_files();
  if (plan.rate == 0) burn = 0;
  plan.burners = burn == 0 ? 0 : 1;
  bench::Line line("watcher");
  std::array<Side, 2> sides;
  sides[0].watch = std::chrono::microseconds(watch);
  for (std::uint64_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < 2; ++i)
      run_once(sides[(i + round) % 2], plan, workers, pinned != 0, std::chrono::microseconds(burn));
  std::vector<double> ratio;
  for (std::size_t i = 0; i < sides[0].per_second.size(); ++i)
    ratio.push_back(sides[0].per_second[i] / sides[1].per_second[i]);
  line.add("workers", workers)
      .add("connections", plan.connections)
      .add("rate", plan.rate)
      .add("burn_us", burn)
      .add("watch_us", watch)
      .add("pinned", pinned)
      .add("rounds", rounds);
  add(line, "on", sides[0]);
  add(line, "off", sides[1]);
  line.add("on_over_off", bench::spread_of(std::move(ratio))).print();
  return 0;
}
