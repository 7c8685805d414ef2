// Starting fibers: one by one, many at once, and as a tree that forks and joins.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <ramie/ramie.hpp>

#include <cstdio>

namespace {

constexpr std::uint64_t kBurst = 10'000;

void one_by_one(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) ramie::or_throw(ramie::spawn([] {}).join());
}

void at_once(std::uint64_t bursts) {
  std::vector<ramie::JoinHandle<void>> handles;
  handles.reserve(kBurst);
  while (bursts-- > 0) {
    for (std::uint64_t i = 0; i < kBurst; ++i) handles.push_back(ramie::spawn([] {}));
    for (auto& handle : handles) ramie::or_throw(handle.join());
    handles.clear();
  }
}

// Every node is a fiber that starts two and joins both: 2^depth leaves.
std::uint64_t grow(std::uint64_t depth) {
  if (depth == 0) return 1;
  auto left = ramie::spawn(grow, depth - 1);
  auto right = ramie::spawn(grow, depth - 1);
  return ramie::or_throw(left.join()) + ramie::or_throw(right.join());
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t workers = 1, depth = 18;
  double seconds = 1;
  bench::Options("spawn: ns per spawn and join; ms for a tree of 2^depth leaves")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .whole("--depth", depth, 1, 24, "levels of the tree")
      .real("--seconds", seconds, 0.01, 60, "how long to measure each of the first two")
      .parse(argc, argv);
  bench::Line line("spawn");
  const auto runtime = bench::make_runtime(workers);
  return runtime.block_on([&] {
    line.add("workers", workers);
    bench::measure(seconds, one_by_one).add_to(line, "one_by_one");
    bench::measure(seconds, at_once).divided_by(kBurst).add_to(line, "at_once");
    std::vector<double> trees, cpu;
    for (std::size_t i = 0; i < bench::kBatches; ++i) {
      const double before = bench::own_cpu_seconds();
      const auto start = bench::Clock::now();
      if (grow(depth) != std::uint64_t{1} << depth) {
        (void)std::fprintf(stderr, "spawn: the tree lost leaves\n");
        return 1;
      }
      trees.push_back(bench::nanos_since(start) / 1e6);
      cpu.push_back((bench::own_cpu_seconds() - before) * 1e3);
    }
    line.add("tree_ms", bench::spread_of(std::move(trees)))
        .add("tree_cpu_ms", bench::spread_of(std::move(cpu)).median)
        .add("peak_rss_mib", bench::peak_resident_mib())
        .print();
    return 0;
  });
}
