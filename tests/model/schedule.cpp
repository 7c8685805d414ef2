// Decides which thread runs next, and which other choices must still be tried.
#include "tests/model/execution.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

namespace ramie::model {
namespace {

constexpr ThreadMask bit(int id) { return static_cast<ThreadMask>(1U << id); }
constexpr bool has(ThreadMask mask, int id) { return (mask >> id & 1U) != 0; }

}  // namespace

bool Execution::is_ready(int id) const {
  const ThreadState& thread = threads_[static_cast<std::size_t>(id)];
  if (thread.done) return false;
  return thread.step.ready == nullptr || thread.step.ready(thread.step.argument);
}

// A thread that yielded runs again after another thread has made a step. A thread that others have
// yielded past kFairness times goes first, so two spinning threads cannot starve a third.
ThreadMask Execution::runnable() {
  ThreadMask ready = 0;
  ThreadMask eager = 0;
  ThreadMask starving = 0;
  for (int id = 0; id < count_; ++id) {
    if (!is_ready(id)) continue;
    ready |= bit(id);
    if (thread(id).yielded) continue;
    eager |= bit(id);
    if (thread(id).starved >= kFairness) starving |= bit(id);
  }
  if (starving != 0) return starving;
  return eager != 0 ? eager : ready;
}

// Continues the running thread, or else the one that has waited longest.
int Execution::default_choice(ThreadMask ready) const {
  if (has(ready, self_)) return self_;
  int best = -1;
  for (int id = 0; id < count_; ++id) {
    if (!has(ready, id)) continue;
    if (best < 0 || threads_[static_cast<std::size_t>(id)].last_run <
                        threads_[static_cast<std::size_t>(best)].last_run) {
      best = id;
    }
  }
  return best;
}

int Execution::pick() {
  const ThreadMask ready = runnable();
  if (ready == 0) return -1;
  if (position_ >= path_.size()) {
    if (options_.dpor && !walks()) note_races();
    decide(ready);
  }
  const Decision& decision = path_[position_];
  const int next = decision.chosen;
  if (!decision.schedule || next >= count_ || !is_ready(next)) {
    fail("this run does not follow its path: the body depends on something but its decisions");
  }
  last_schedule_ = static_cast<int>(position_++);
  record(next);
  thread(next).last_run = ++picks_;
  thread(next).starved = 0;
  for (int id = 0; id < count_; ++id) thread(id).yielded = false;
  return next;
}

void Execution::decide(ThreadMask ready) {
  Decision decision;
  decision.schedule = true;
  decision.runnable = ready;
  decision.previous = last_schedule_;
  if (has(ready, self_)) decision.running = static_cast<std::int8_t>(self_);
  if (last_schedule_ >= 0) {
    const Decision& before = path_[static_cast<std::size_t>(last_schedule_)];
    const bool preempted = before.running >= 0 && before.chosen != before.running;
    decision.preemptions = static_cast<std::uint8_t>(before.preemptions + (preempted ? 1 : 0));
  }
  const int choice = walks() ? walk_choice(ready) : default_choice(ready);
  decision.chosen = static_cast<std::uint8_t>(choice);
  decision.tried = bit(choice);
  path_.push_back(decision);
  if (options_.dpor || walks()) return;
  for (int id = 0; id < count_; ++id) {
    if (has(ready, id)) mark(path_.back(), id);
  }
}

// For each thread's announced step: finds an earlier step that it depends on and that is not
// ordered before it. That decision should also be taken the other way.
void Execution::note_races() {
  for (int id = 0; id < count_; ++id) {
    const ThreadState& waiting = thread(id);
    if (waiting.done) continue;
    note_race(id, waiting.step.object, waiting.step.access);
    note_race(id, waiting.step.other, waiting.step.other_access);
  }
}

void Execution::note_race(int id, const Footprint* object, Access access) {
  if (object == nullptr) return;
  const Clock& order = thread(id).order;
  if (object->writer >= 0) {
    const auto writer = static_cast<std::size_t>(object->writer);
    if (object->write_clock.at[writer] > order.at[writer]) backtrack(object->write_at, id);
  }
  if (access == Access::kRead) return;
  for (std::size_t reader = 0; reader < kMaxThreads; ++reader) {
    if (object->reads.at[reader] > order.at[reader]) backtrack(object->read_at[reader], id);
  }
}

// Thread `id` makes its announced step now, ordered after everything that it depends on.
void Execution::record(int id) {
  ThreadState& thread = this->thread(id);
  const auto slot = static_cast<std::size_t>(id);
  const std::array<std::pair<Footprint*, Access>, 2> touched = {
      std::pair{thread.step.object, thread.step.access},
      std::pair{thread.step.other, thread.step.other_access}};
  for (const auto& [object, access] : touched) {
    if (object == nullptr) continue;
    thread.order.join(object->write_clock);
    if (access == Access::kWrite) thread.order.join(object->read_clock);
  }
  (void)thread.order.advance(slot);
  for (const auto& [object, access] : touched) {
    if (object == nullptr) continue;
    if (access == Access::kRead) {
      object->read_at[slot] = last_schedule_;
      object->reads.at[slot] = thread.order.at[slot];
      object->read_clock.join(thread.order);
    } else {
      object->writer = static_cast<std::int8_t>(id);
      object->write_at = last_schedule_;
      object->write_clock = thread.order;
      object->reads = Clock{};
      object->read_clock = Clock{};
    }
  }
}

void Execution::backtrack(int at, int id) {
  mark(path_[static_cast<std::size_t>(at)], id);
  if (options_.preemptions < 0) return;
  // Under a bound the preemption at `at` may be one too many. The other order may be free where
  // that thread was switched to.
  for (int place = at;;) {
    Decision& here = path_[static_cast<std::size_t>(place)];
    if (here.previous < 0) return mark(here, id);
    if (here.chosen != path_[static_cast<std::size_t>(here.previous)].chosen) {
      return mark(here, id);
    }
    place = here.previous;
  }
}

void Execution::mark(Decision& decision, int id) {
  const ThreadMask wanted = has(decision.runnable, id) ? bit(id) : decision.runnable;
  ThreadMask fresh = static_cast<ThreadMask>(wanted & ~decision.tried);
  const bool may_preempt =
      options_.preemptions < 0 || decision.preemptions < options_.preemptions;
  if (!may_preempt && decision.running >= 0) {
    const ThreadMask free = static_cast<ThreadMask>(fresh & bit(decision.running));
    if (free != fresh) bounded_ = true;
    fresh = free;
  }
  decision.todo |= fresh;
}

bool Execution::advance() {
  if (walks()) return true;
  while (!path_.empty()) {
    Decision& last = path_.back();
    if (last.schedule && last.todo != 0) {
      const int id = std::countr_zero(last.todo);
      last.todo = static_cast<ThreadMask>(last.todo & ~bit(id));
      last.tried |= bit(id);
      last.chosen = static_cast<std::uint8_t>(id);
      return true;
    }
    if (!last.schedule && last.chosen + 1 < last.choices) {
      ++last.chosen;
      return true;
    }
    path_.pop_back();
  }
  return false;
}

int Execution::choose(int choices) {
  if (choices <= 1) return 0;
  if (position_ >= path_.size()) {
    path_.push_back({.choices = static_cast<std::uint8_t>(choices)});
    if (walks()) path_.back().chosen = static_cast<std::uint8_t>(draw(std::uint32_t(choices)));
  }
  Decision& decision = path_[position_++];
  if (replaying_) decision.choices = static_cast<std::uint8_t>(choices);
  if (decision.schedule || decision.choices != choices || decision.chosen >= choices) {
    fail("this run does not follow its path: the body depends on something but its decisions");
  }
  return decision.chosen;
}

// ---- walks

std::uint32_t Execution::draw(std::uint32_t limit) {
  return static_cast<std::uint32_t>(random_() % limit);
}

// Each walk has its own seed, so that a single one can be repeated.
void Execution::start_walk() {
  longest_ = std::max(longest_, path_.size());
  path_.clear();
  random_.seed(options_.seed * 1'000'003 + walk_++);
  if (options_.mode != Mode::pct) return;
  for (std::size_t id = 0; id < priorities_.size(); ++id) {
    const std::size_t other = draw(static_cast<std::uint32_t>(id) + 1);
    priorities_[id] = std::exchange(priorities_[other], static_cast<int>(id));
  }
  falls_.clear();
  for (int i = 1; i < options_.depth; ++i) {
    falls_.push_back(draw(static_cast<std::uint32_t>(longest_)));
  }
}

int Execution::walk_choice(ThreadMask ready) {
  if (options_.mode == Mode::pct) {
    for (const std::size_t place : falls_) {
      if (place == position_) {
        priorities_[static_cast<std::size_t>(self_)] = -static_cast<int>(position_) - 1;
      }
    }
    int best = -1;
    for (int id = 0; id < count_; ++id) {
      const auto slot = static_cast<std::size_t>(id);
      if (!has(ready, id)) continue;
      if (best < 0 || priorities_[slot] > priorities_[static_cast<std::size_t>(best)]) best = id;
    }
    return best;
  }
  std::uint32_t skip = draw(static_cast<std::uint32_t>(std::popcount(ready)));
  for (int id = 0;; ++id) {
    if (has(ready, id) && skip-- == 0) return id;
  }
}

// ---- a path as a string: a digit is a thread, a letter a value (a: the newest), {n} repeats

std::string Execution::path_string() const {
  std::string text;
  char last = 0;
  std::size_t count = 0;
  const auto flush = [&] {
    if (count > 4) {
      text += last + ("{" + std::to_string(count)) + "}";
    } else {
      text.append(count, last);
    }
  };
  for (const Decision& decision : path_) {
    const auto next = static_cast<char>((decision.schedule ? '0' : 'a') + decision.chosen);
    if (next != last) {
      flush();
      count = 0;
    }
    last = next;
    ++count;
  }
  flush();
  return text;
}

void Execution::start_path() {
  replaying_ = true;
  for (const char* c = options_.replay.c_str(); *c != 0; ++c) {
    if (*c == '{' && !path_.empty()) {
      char* end = nullptr;
      const std::size_t count = std::strtoul(c + 1, &end, 10);
      path_.insert(path_.end(), count - 1, Decision(path_.back()));
      c = end;  // the closing brace
      continue;
    }
    Decision decision;
    decision.schedule = *c >= '0' && *c <= '9';
    decision.chosen = static_cast<std::uint8_t>(*c - (decision.schedule ? '0' : 'a'));
    path_.push_back(decision);
  }
}

}  // namespace ramie::model
