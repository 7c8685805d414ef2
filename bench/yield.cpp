// yield_now(): alone, where every yield polls the driver, and among many fibers.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <ramie/ramie.hpp>

namespace {

void yield_often(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) ramie::yield_now();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t workers = 1, fibers = 100;
  double seconds = 1;
  bench::Options("yield: ns per yield")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .whole("--fibers", fibers, 2, 100'000, "that take turns")
      .real("--seconds", seconds, 0.01, 60, "how long to measure each")
      .parse(argc, argv);
  bench::Line line("yield");
  const auto runtime = bench::make_runtime(workers);
  runtime.block_on([&] {
    line.add("workers", workers).add("fibers", fibers);
    bench::measure(seconds, yield_often).add_to(line, "alone");
    const auto take_turns = [&](std::uint64_t n) {
      ramie::Scope scope;
      for (std::uint64_t i = 0; i < fibers; ++i)
        ramie::or_throw(scope.spawn(yield_often, n / fibers + (i < n % fibers ? 1 : 0)));
      ramie::or_throw(scope.join());
    };
    bench::measure(seconds, take_turns).add_to(line, "among_many");
    line.print();
  });
  return 0;
}
