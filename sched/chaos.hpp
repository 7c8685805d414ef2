// The test mode RAMIE_CHAOS=<seed>: what may happen once in a year happens all the time.
//
//   where a fiber runs      a woken or spawned fiber goes to the injector, not to the local queue,
//                           so every park may migrate it, and queues look full
//   what a worker takes     other workers' fibers before its own; or it finds nothing to steal
//   how long steps take     between a switch and its commit, an announcement and the sleep, the end
//                           of a turn and the release of the baton: nothing, a yield, or up to 1 ms
//   how much a fiber gets   a budget of 1 to 4
//   which worker is woken   also a worker that is not needed
//
// Each worker has its own sequence from the seed. Threads run in an order of their own, so a seed
// does not replay a run. It gives the same mixture again, and a failure comes back soon.
//
// When it is off, it costs a test of a bool in the worker's own memory.
#pragma once

#include "sched/base/random.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>

namespace ramie::inline v0::sched {

class Chaos {
 public:
  Chaos(std::optional<std::uint64_t> seed, std::uint64_t worker) noexcept
      : is_on_(seed.has_value()), random_(seed.value_or(0) * 0x2545f4914f6cdd1dU + worker) {}

  bool is_on() const noexcept { return is_on_; }

  // Returns true once in `n` calls; always false if the mode is off.
  bool strikes(std::uint32_t n) noexcept { return is_on_ && random_.below(n) == 0; }

  std::uint32_t below(std::uint32_t limit) noexcept { return random_.below(limit); }

  // Sometimes takes a while.
  void stumble() noexcept {
    if (is_on_) [[unlikely]]
      dawdle();
  }

 private:
  [[gnu::noinline]] void dawdle() noexcept {
    const std::uint32_t dice = random_.below(512);
    if (dice == 0) std::this_thread::sleep_for(std::chrono::microseconds(random_.below(1000)));
    else if (dice < 32) std::this_thread::yield();
  }

  const bool is_on_;
  base::Random random_;
};

}  // namespace ramie::inline v0::sched
