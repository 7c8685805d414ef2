// See wheel.hpp.
#include "sched/time/wheel.hpp"

#include "sched/fiber.hpp"

#include <algorithm>
#include <bit>
#include <mutex>

namespace ramie::inline v0::sched {

namespace {

base::Instant instant_of(std::int64_t nanos) noexcept { return base::Instant(base::Nanos(nanos)); }

}  // namespace

// The level on which `due` and the present first differ.
unsigned TimerWheel::level_for(Tick due) const noexcept {
  const Tick differs = (due ^ elapsed_) | (kSlots - 1);
  const auto highest = static_cast<unsigned>(std::bit_width(differs)) - 1;
  return std::min(highest / kBits, kLevels - 1);
}

void TimerWheel::link(TimerEntry& entry, Tick due) noexcept {
  // The last level uses 63 slots, not 64: the slot of the present must not mean a whole turn from
  // now.
  constexpr Tick kSpan = Tick{kSlots - 1} << ((kLevels - 1) * kBits);
  due = std::max(due, elapsed_ + 1);
  const Tick placed =
      std::min(due, elapsed_ + kSpan);  // beyond the wheel: it is looked at again at that time
  const unsigned level = level_for(placed);
  const auto slot = static_cast<unsigned>(placed >> (level * kBits)) & (kSlots - 1);
  levels_[level].occupied |= std::uint64_t{1} << slot;
  levels_[level].slots[slot].push_back(entry);
  entry.due.store(due, base::kSeqCst);
}

bool TimerWheel::insert(TimerEntry& entry, Tick due) noexcept {
  const std::lock_guard lock(mutex_);
  entry.wheel.store(this, base::kRelaxed);
  if (entry.is_linked()) base::List<TimerEntry>::unlink(entry);
  else size_.fetch_add(1, base::kRelaxed);
  link(entry, due);
  if (entry.due.load(base::kRelaxed) >= next_.load(base::kRelaxed)) return false;
  next_.store(entry.due.load(base::kRelaxed), base::kSeqCst);
  return true;
}

void TimerWheel::remove(TimerEntry& entry) noexcept {
  const std::lock_guard lock(mutex_);
  if (!entry.is_linked()) return;
  // The slot's bit may stay on: find_next() skips an empty slot.
  base::List<TimerEntry>::unlink(entry);
  entry.due.store(kNoTick, base::kSeqCst);
  size_.fetch_sub(1, base::kRelaxed);
}

bool TimerWheel::find_next(Position& position) const noexcept {
  for (unsigned level = 0; level < kLevels; ++level) {
    const std::uint64_t occupied = levels_[level].occupied;
    if (occupied == 0) continue;
    const unsigned shift = level * kBits;
    const auto current = static_cast<unsigned>(elapsed_ >> shift) & (kSlots - 1);
    const auto ahead =
        static_cast<unsigned>(std::countr_zero(std::rotr(occupied, static_cast<int>(current))));
    const unsigned slot = (current + ahead) & (kSlots - 1);
    Tick start = (elapsed_ >> shift >> kBits << kBits << shift) + (Tick{slot} << shift);
    if (slot < current) start += Tick{kSlots} << shift;  // the next turn of this level
    position = {level, slot, start};
    return true;
  }
  return false;
}

void TimerWheel::fire(TimerEntry& entry, base::Instant instant, FiberList& out) noexcept {
  Fiber& fiber = *entry.owner;
  entry.due.store(kNoTick, base::kSeqCst);  // ORDER(wheel-1)
  size_.fetch_sub(1, base::kRelaxed);
  const FiberWord::Armed wait = fiber.word.open_wait();
  const base::Instant deadline = instant_of(entry.deadline.load(base::kRelaxed));
  if (deadline == base::kNever) return;
  if (deadline > instant) {
    if (!wait.armed) return;  // the next wait inserts again
    const auto later = (deadline - instant).count() >> TimerSet::kTickShift;
    link(entry, advancing_to_ + static_cast<Tick>(later) + 1);
    size_.fetch_add(1, base::kRelaxed);
    return;
  }
  if (!wait.armed) {
    // The fiber runs, and its next wait asks the scopes. Or it has just parked in a wait without a
    // deadline.
    if (fiber.word.request(FiberWord::kScope)) out.push_back(fiber);
    return;
  }
  if (fiber.word.claim(wait.epoch, FiberWord::kByTimer) == FiberWord::Claim::won_and_queue)
    out.push_back(fiber);
}

// On level 0 all entries are due. On a higher level, sorts the rest into the finer levels.
void TimerWheel::empty_slot(const Position& position, base::Instant instant,
                            FiberList& out) noexcept {
  Level& level = levels_[position.level];
  level.occupied &= ~(std::uint64_t{1} << position.slot);
  base::List<TimerEntry> taken;
  taken.splice_back(level.slots[position.slot]);
  while (TimerEntry* entry = taken.pop_front()) {
    if (entry->due.load(base::kRelaxed) <= elapsed_) fire(*entry, instant, out);
    else link(*entry, entry->due.load(base::kRelaxed));
  }
}

void TimerWheel::publish_next() noexcept {
  Position position{};
  next_.store(find_next(position) ? std::max(position.start, elapsed_ + 1) : kNoTick,
              base::kSeqCst);
}

void TimerWheel::advance(Tick now, base::Instant instant, FiberList& out) noexcept {
  const std::lock_guard lock(mutex_);
  advancing_to_ = now;
  Position position{};
  while (find_next(position) && position.start <= now) {
    elapsed_ = std::max(elapsed_, position.start);
    empty_slot(position, instant, out);
  }
  elapsed_ = std::max(elapsed_, now);
  publish_next();
}

TimerSet::TimerSet(std::size_t workers)
    : origin_(base::now()), count_(workers), wheels_(std::make_unique<TimerWheel[]>(workers)) {}

Tick TimerSet::to_tick_up(base::Instant instant) const noexcept {
  if (instant == base::kNever) return kNoTick;
  if (instant <= origin_) return 0;
  const auto nanos = static_cast<Tick>((instant - origin_).count());
  return (nanos + (Tick{1} << kTickShift) - 1) >> kTickShift;
}

Tick TimerSet::to_tick_down(base::Instant instant) const noexcept {
  return instant <= origin_ ? 0 : static_cast<Tick>((instant - origin_).count()) >> kTickShift;
}

base::Instant TimerSet::to_instant(Tick tick) const noexcept {
  constexpr Tick kLast = Tick{std::numeric_limits<std::int64_t>::max()} >> kTickShift;
  if (tick >= kLast) return base::kNever;
  return base::saturating_add(origin_, base::Nanos(static_cast<std::int64_t>(tick << kTickShift)));
}

Tick TimerSet::next() const noexcept {
  Tick earliest = kNoTick;
  for (std::size_t i = 0; i < count_; ++i) earliest = std::min(earliest, wheels_[i].next());
  return earliest;
}

void TimerSet::advance(FiberList& out) noexcept {
  if (next() == kNoTick) return;  // without timers, no look at the clock
  const base::Instant instant = base::now();
  const Tick now = to_tick_down(instant);
  for (std::size_t i = 0; i < count_; ++i)
    if (wheels_[i].next() <= now) wheels_[i].advance(now, instant, out);
}

std::size_t TimerSet::size() const noexcept {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count_; ++i) total += wheels_[i].size();
  return total;
}

}  // namespace ramie::inline v0::sched
