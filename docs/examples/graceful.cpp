// A clean shutdown: SIGTERM stops new jobs, running jobs have two seconds, the rest is cancelled,
// and a cancelled job still saves its state.
//
//   timeout -s TERM 1 ./example_graceful        a second signal would end the process at once
#include <ramie/ramie.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

// The Shield lets this wait finish, although the fiber may be cancelled.
void save(int job, int steps) {
  const ramie::Shield shield;
  if (ramie::sleep_for(10ms)) std::printf("job %d saved after %d steps\n", job, steps);
}

void work(int job) {
  constexpr int kSteps = 100;
  for (int step = 0; step < kSteps; ++step) {
    // A cancel ends the sleep and every later wait of this fiber, so return.
    if (!ramie::sleep_for(job % 2 == 0 ? 5ms : 50ms)) return save(job, step);
  }
  std::printf("job %d is done\n", job);
}

int main() {
  return ramie::block_on([] {
    const auto stop = ramie::signal::shutdown();
    ramie::Scope jobs(ramie::on_failure::report);
    (void)ramie::until(stop, [&] {
      for (int job = 0; ramie::sleep_for(100ms); ++job)  // until the signal comes
        if (auto started = jobs.spawn(work, job); !started)
          return ramie::report("spawn", started.error());
      return 0;
    });
    std::printf("stopping; %zu jobs are running\n", jobs.size());
    const std::size_t canceled = jobs.drain(2s);
    std::printf("%zu had to be cancelled\n", canceled);
    return 0;
  });
}
