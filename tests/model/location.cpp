// Decides which stores a load may return, and what the load then has seen. Rules: location.hpp.
#include "tests/model/location.hpp"

#include <algorithm>

namespace ramie::model {
namespace {

bool is_acquire(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_consume ||
         order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

bool is_release(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

bool is_sequential(std::memory_order order) { return order == std::memory_order_seq_cst; }

}  // namespace

void Location::make(Word value) noexcept {
  footprint_.be_born();
  Store& first = stores_[0];
  first = {value, {}, {}, kNever};
  first.known.at.fill(kNever);
  Execution* run = Execution::active();
  if (run == nullptr) return;  // a static object: it may exist, but not be used in a run
  run->note_made();
  run->tick();
  const auto self = static_cast<std::size_t>(run->self());
  first.known.at[self] = touched_.at[self] = run->thread().now.clock.at[self];
}

// The destroying thread must have seen the last access of every thread.
Location::~Location() {
  Execution* run = Execution::active();
  if (run == nullptr || footprint_.run != Execution::run_number()) return;
  footprint_.be_destroyed();
  if (!run->thread().now.clock.covers(touched_)) {
    run->fail("an atomic is destroyed while another thread may still be using it");
  }
}

// Two seq_cst loads of one location do not commute if stale stores exist, because the earlier one
// limits the later one. A seq_cst access also takes its place among the fences.
void Location::announce(Access access, std::memory_order order) {
  Execution& run = Execution::current();
  const bool sequential = is_sequential(order) && run.options().weak;
  Step step{.object = &footprint_, .access = sequential ? Access::kWrite : access};
  if (sequential) step.other = &run.fence_order();
  run.point(step);
  const auto self = static_cast<std::size_t>(run.self());
  touched_.at[self] = run.thread().now.clock.at[self];
}

void Location::stamp(Store& store, std::memory_order order) {
  Execution& run = Execution::current();
  const auto self = static_cast<std::size_t>(run.self());
  Tick& known = store.known.at[self];
  known = std::min(known, run.thread().now.clock.at[self]);
  if (is_sequential(order)) store.sequential = std::min(store.sequential, run.fence_count());
}

void Location::append(Word value, const View& published, std::memory_order order) {
  if (count_ == kWindow) {
    std::move(stores_.begin() + 1, stores_.end(), stores_.begin());
    --count_;
    ++forgotten_;
  }
  Store& store = stores_[count_++];
  store = {value, published, {}, kNever};
  store.known.at.fill(kNever);
  stamp(store, order);
}

std::size_t Location::oldest_visible(std::memory_order order) {
  Execution& run = Execution::current();
  const ThreadState& me = run.thread();
  const std::size_t last = count_ - 1U;
  if (!run.options().weak) return last;
  Reader& reader = readers_[static_cast<std::size_t>(run.self())];
  if (reader.yields != me.yields) {
    reader.yields = me.yields;
    return last;
  }
  const bool sequential = is_sequential(order);
  const std::uint16_t passed = me.now.fences;
  Clock heard = me.now.clock;
  heard.join(run.heard_by_fences(sequential ? run.fence_count() : passed));
  std::size_t oldest = last;
  for (; oldest > 0; --oldest) {
    const Store& store = stores_[oldest];
    if (heard.covers_any(store.known) || store.sequential < passed) break;
    if (sequential && store.sequential != kNever) break;
  }
  const bool again = forgotten_ + oldest == reader.last && oldest < last;
  return again && reader.repeats >= kStaleReads ? oldest + 1 : oldest;
}

// The current thread reads store `index`.
void Location::take(std::size_t index, std::memory_order order) {
  Execution& run = Execution::current();
  ThreadState& me = run.thread();
  Store& store = stores_[index];
  if (is_acquire(order)) me.now.join(store.published);
  me.readable.join(store.published);
  stamp(store, order);
  Reader& reader = readers_[static_cast<std::size_t>(run.self())];
  const auto name = static_cast<std::uint16_t>(forgotten_ + index);
  const bool again = reader.last == name && index + 1U < count_;
  reader.repeats = again ? static_cast<std::uint8_t>(reader.repeats + 1) : std::uint8_t{1};
  reader.last = name;
}

Word Location::load(std::memory_order order) {
  announce(Access::kRead, order);
  Execution& run = Execution::current();
  const std::size_t last = count_ - 1U;
  const auto choices = static_cast<int>(last - oldest_visible(order) + 1);
  const std::size_t index = last - static_cast<std::size_t>(run.choose(choices));
  take(index, order);
  run.trace(index == last ? "load" : "load stale", &footprint_, stores_[index].value);
  return stores_[index].value;
}

void Location::store(Word value, std::memory_order order) {
  announce(Access::kWrite, order);
  Execution& run = Execution::current();
  const ThreadState& me = run.thread();
  append(value, is_release(order) ? me.now : me.released, order);
  run.trace("store", &footprint_, value);
}

Word Location::begin_update(std::memory_order order) {
  announce(Access::kWrite, order);
  return newest().value;
}

// The new store continues the release sequence of the store that it replaces.
void Location::end_update(Word value, std::memory_order order, const char* what) {
  Execution& run = Execution::current();
  View published = newest().published;
  take(count_ - 1U, order);
  const ThreadState& me = run.thread();
  published.join(is_release(order) ? me.now : me.released);
  append(value, published, order);
  run.trace(what, &footprint_, value);
}

// A failed compare-exchange is a load. It returns the newest value, unless stale_failures lets it
// return an older one that differs from `expected`.
bool Location::compare_exchange(Word& expected, Word desired, std::memory_order success,
                                std::memory_order failure, bool weak) {
  announce(Access::kWrite, is_sequential(failure) ? failure : success);
  Execution& run = Execution::current();
  std::size_t index = count_ - 1U;
  const bool equal = newest().value == expected;
  bool spurious = false;
  if (weak && equal && run.options().spurious && run.thread().spurious_left != 0) {
    spurious = run.choose(2) != 0;
    if (spurious) run.thread().spurious_left = 0;
  }
  if (run.options().stale_failures && !spurious) {
    std::array<std::size_t, kWindow> candidates{index};
    int choices = 1;
    for (std::size_t i = index, oldest = oldest_visible(failure); i-- > oldest;) {
      if (stores_[i].value != expected) candidates[static_cast<std::size_t>(choices++)] = i;
    }
    index = candidates[static_cast<std::size_t>(run.choose(choices))];
  }
  if (index + 1U == count_ && equal && !spurious) {
    end_update(desired, success, "cas");
    return true;
  }
  take(index, failure);
  expected = stores_[index].value;
  run.trace(spurious ? "cas spurious" : "cas failed", &footprint_, expected);
  return false;
}

}  // namespace ramie::model
