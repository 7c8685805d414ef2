// How late a sleep of one millisecond ends: on an idle runtime, and while other fibers keep every
// worker busy.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <ramie/ramie.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

using namespace std::chrono_literals;
using bench::Clock;

demo::Histogram lateness(std::uint64_t times) {
  demo::Histogram late;
  for (std::uint64_t i = 0; i < times; ++i) {
    const auto due = Clock::now() + 1ms;
    ramie::or_throw(ramie::sleep_until(due));
    const auto beyond = (Clock::now() - due).count();
    if (beyond < 0) {
      (void)std::fprintf(stderr, "sleep: woke %lld ns early\n", static_cast<long long>(-beyond));
      std::exit(1);
    }
    late.record(static_cast<std::uint64_t>(beyond));
  }
  return late;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t workers = 1, sleeps = 1000;
  bench::Options("sleep: us by which a sleep of one millisecond is late")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .whole("--sleeps", sleeps, 1, 1'000'000, "number of sleeps, idle and busy")
      .parse(argc, argv);
  bench::Line line("sleep");
  const auto runtime = bench::make_runtime(workers);
  runtime.block_on([&] {
    line.add("workers", workers).add("sleeps", sleeps).add("idle", lateness(sleeps));
    const ramie::CancellationToken enough;
    ramie::Scope busy;
    for (std::uint64_t i = 0; i < workers; ++i)
      ramie::or_throw(busy.spawn([&enough] {
        while (!enough.is_canceled()) ramie::yield_now();
      }));
    line.add("busy", lateness(sleeps));
    enough.cancel();
  });
  line.print();
  return 0;
}
