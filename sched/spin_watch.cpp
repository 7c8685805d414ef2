// See spin_watch.hpp.
#include "sched/spin_watch.hpp"

#include "sched/base/annotate.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"
#include "sched/scheduler.hpp"

#include <mutex>
#include <utility>

namespace ramie::inline v0::sched {

bool SpinWatch::offer(const Spin& spin) noexcept {
  const base::TsanInternal internal;
  const std::lock_guard lock(mutex_);
  if (spin_.has_value()) return false;
  spin_ = spin;
  return true;
}

std::optional<Spin> SpinWatch::take() noexcept {
  const std::lock_guard lock(mutex_);
  return std::exchange(spin_, std::nullopt);
}

namespace {

[[gnu::noinline]] void look_at_row(Fiber& fiber) noexcept {
  FruitlessWaits& waits = fiber.fruitless;
  Watchdog* watchdog = fiber.scheduler->watchdog();
  const base::Nanos stall = fiber.scheduler->options().watchdog.stall;
  if (watchdog == nullptr || stall.count() == 0) return;
  const base::Instant now = base::now();
  const bool is_slow = now - std::exchange(waits.last, now) > stall;
  if (is_slow || waits.first == base::Instant{}) {
    waits.first = now;
    waits.count = FruitlessWaits::kRow;
    return;
  }
  if (now - waits.first < stall) return;
  Spin spin{.fiber = fiber.id,
            .name = fiber.copy_name(),
            .waits = waits.count,
            .time = now - waits.first,
            .frames = {}};
  unwind_here(spin.frames);
  waits.is_reported = watchdog->spins_seen().offer(spin);
}

}  // namespace

void note_fruitless(Fiber& fiber) noexcept {
  fiber.worker.load(base::kRelaxed)->count_fruitless();
  FruitlessWaits& waits = fiber.fruitless;
  if (const std::uint32_t epoch = fiber.word.epoch(); waits.epoch != epoch)
    waits = {.epoch = epoch, .is_reported = false, .count = 0, .first = {}, .last = {}};
  if (++waits.count % FruitlessWaits::kRow == 0 && !waits.is_reported) look_at_row(fiber);
}

void note_fruitless() noexcept {
  if (Fiber* fiber = current_fiber()) note_fruitless(*fiber);
}

}  // namespace ramie::inline v0::sched
