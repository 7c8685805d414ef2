// A plain thread wakes a parked fiber of an idle runtime. Measures how long until the fiber runs,
// and how often the workers parked and polled for it.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <ramie/ramie.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

using namespace std::chrono_literals;
using bench::Clock;

struct Bell {
  ramie::sync::Notify notify;
  std::atomic<std::uint64_t> rung{0}, heard{0};
  Clock::time_point rung_at;  // written before notify_one(), read after wait()
};

// Gives the runtime time to fall asleep before each wake.
void ring(Bell& bell, std::uint64_t times) {
  for (std::uint64_t i = 1; i <= times; ++i) {
    std::this_thread::sleep_for(200us);
    while (bell.heard.load(std::memory_order_acquire) + 1 < i) std::this_thread::sleep_for(50us);
    bell.rung_at = Clock::now();
    bell.notify.notify_one();
  }
}

demo::Histogram listen(Bell& bell, std::uint64_t times) {
  demo::Histogram latency;
  for (std::uint64_t i = 1; i <= times; ++i) {
    ramie::or_throw(bell.notify.wait());
    latency.record(static_cast<std::uint64_t>((Clock::now() - bell.rung_at).count()));
    bell.heard.store(i, std::memory_order_release);
  }
  return latency;
}

double per_wake(std::uint64_t before, std::uint64_t after, std::uint64_t wakes) {
  return static_cast<double>(after - before) / static_cast<double>(wakes);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t workers = 1, wakes = 5000;
  bench::Options("wake: us from a plain thread's wake until the fiber runs")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .whole("--wakes", wakes, 1, 1'000'000, "how often")
      .parse(argc, argv);
  bench::Line line("wake");
  const auto runtime = bench::make_runtime(workers);
  Bell bell;
  const auto before = runtime.metrics();
  std::thread ringer(ring, std::ref(bell), wakes);
  const demo::Histogram latency = runtime.block_on([&] { return listen(bell, wakes); });
  ringer.join();
  const auto after = runtime.metrics();
  line.add("workers", workers)
      .add("wakes", wakes)
      .add("latency", latency)
      .add("eventfd_writes_per_wake", per_wake(before.io_unparks, after.io_unparks, wakes))
      .add("parks_per_wake", per_wake(before.parks, after.parks, wakes))
      .add("driver_turns_per_wake", per_wake(before.polls, after.polls, wakes))
      .add("switches_per_wake", per_wake(before.switches, after.switches, wakes))
      .print();
  return 0;
}
