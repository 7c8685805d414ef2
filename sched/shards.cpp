// See shards.hpp.
#include "sched/shards.hpp"

#include <algorithm>

namespace ramie::inline v0::sched {

// ORDER(timer-1), partner in notify_timer().
base::Nanos Shard::begin_sleep(TimerSet& timers, base::Nanos bound) noexcept {
  Tick due = kNoTick;
  do {
    due = timers.next();
    sleeps_until_.store(std::max<Tick>(due, 1), base::kSeqCst);
  } while (timers.next() < due);
  if (due == kNoTick) return bound;
  const base::Nanos left = std::max(timers.to_instant(due) - base::now(), base::Nanos(0));
  return bound.count() < 0 ? left : std::min(left, bound);
}

Shards::Shards(const std::vector<Driver*>& drivers) {
  for (Driver* driver : drivers)
    shards_.push_back(std::make_unique<Shard>(*driver, static_cast<std::uint32_t>(shards_.size())));
}

Shard* Shards::take_baton(std::size_t first) noexcept {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& shard = *shards_[(first + i) % shards_.size()];
    if (shard.try_take()) return &shard;
  }
  return nullptr;
}

bool Shards::has_unattended() const noexcept {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return !shard->is_taken(); });
}

// One sleeper that wakes in time is enough. If nobody sleeps in a driver, the next worker that does
// looks at the wheels first.
void Shards::notify_timer(Tick due) noexcept {
  Shard* too_late = nullptr;
  for (const auto& shard : shards_) {
    const Tick until = shard->sleeps_until();
    if (until == 0) continue;
    if (until <= due) return;
    too_late = shard.get();
  }
  if (too_late != nullptr) too_late->driver().unpark();
}

}  // namespace ramie::inline v0::sched
