// Parks 100,000 fibers with guarded stacks in one process. Measures the cost of one; all must
// return.
#include "tests/stress/stress.hpp"

#include <vector>

namespace {

using namespace stress;

// Where the kernel makes guards without extra mappings (Linux 6.13) only memory is the limit.
// Before that each stack takes two mappings of vm.max_map_count.
std::size_t affordable(std::size_t wanted) {
  const auto method = ramie::sched::current_scheduler()->stacks().guard_method();
  if (method == ramie::sched::GuardMethod::madvise) return wanted;
  std::printf("this kernel lacks MADV_GUARD_INSTALL: 10,000 fibers only\n");
  return 10'000;
}

void park_all(std::size_t wanted) {
  const ramie::CancellationToken gate;
  const std::size_t count = affordable(wanted);
  std::vector<ramie::JoinHandle<bool>> fibers;
  fibers.reserve(count);
  const std::size_t memory = ramie_test::resident_bytes();
  const std::size_t maps = ramie_test::mappings();
  const auto begin = Clock::now();
  std::size_t started = 0;
  for (std::size_t i = 0; i < count; ++i) {
    fibers.push_back(ramie::spawn([&gate] { return gate.wait().has_value(); }));
    if (i % 256 == 0) ramie::yield_now();
  }
  ramie::sched::Scheduler& scheduler = *ramie::sched::current_scheduler();
  const auto is_parked = [&] {
    started = 0;
    scheduler.for_each_fiber([&](ramie::sched::Fiber& fiber) {
      if (fiber.waits_for.load(ramie::base::kRelaxed) == ramie::sched::WaitKind::token) ++started;
    });
    return started == count;
  };
  while (!is_parked()) (void)ramie::sleep_for(1ms);
  const double seconds = seconds_since(begin);
  const double each =
      static_cast<double>(ramie_test::resident_bytes() - memory) / static_cast<double>(count);
  const std::size_t more_maps = ramie_test::mappings() - maps;
  std::printf("%zu fibers parked in %.2f s: %.0f bytes resident each, %zu mappings more\n", count,
              seconds, each, more_maps);
  check(!kCountsMemory || each < 10'000, "a parked fiber costs %.0f bytes", each);
  check(count < 100'000 || more_maps < count / 20, "%zu mappings for %zu stacks", more_maps, count);
  const auto wake_begin = Clock::now();
  gate.cancel();
  std::size_t woken = 0;
  for (auto& fiber : fibers) woken += *fiber.join() ? 1U : 0U;
  std::printf("all woken and ended in %.2f s\n", seconds_since(wake_begin));
  check(woken == count, "%zu of %zu fibers came back", woken, count);
}

}  // namespace

int main() {
  must_end_within(300s);
  const auto runtime = make_runtime(2);
  for (int round = 0; round < 2; ++round)  // the second round reuses stacks and blocks
    runtime.block_on([] { park_all(kCountsMemory ? 100'000 : 5'000); });
  check_balance(runtime);
  return failures == 0 ? 0 : 1;
}
