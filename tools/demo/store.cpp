// Locks, and operations on the whole store. Operations inside one shard are in table.cpp.
#include "tools/demo/store.hpp"

#include <chrono>

namespace demo {

Milliseconds Store::system_clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Store::Store(Clock clock) : clock_(std::move(clock)) {}

Store::Locked::Locked(Store& store, std::uint64_t mask)
    : store_(store), mask_(mask), now_(store.clock_()) {
  for (std::uint64_t rest = mask_; rest != 0; rest &= rest - 1) {
    store_.shards_[static_cast<std::size_t>(std::countr_zero(rest))].mutex.lock();
  }
}

Store::Locked::~Locked() {
  for (std::uint64_t rest = mask_; rest != 0; rest &= rest - 1) {
    store_.shards_[static_cast<std::size_t>(std::countr_zero(rest))].mutex.unlock();
  }
}

Table& Store::Locked::table(std::size_t hash) noexcept {
  return store_.shards_[shard_of(hash)].table;
}

Store::Locked Store::lock(std::string_view key) { return Locked(*this, bit_of(key)); }

Store::Locked Store::lock(std::span<const std::string_view> keys, std::size_t stride) {
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < keys.size(); i += stride) mask |= bit_of(keys[i]);
  return Locked(*this, mask);
}

Store::Count Store::count() {
  Locked all(*this, kAllShards);
  Count count;
  for (Shard& shard : shards_) {
    shard.table.sweep(all.now(), SIZE_MAX);
    count.keys += shard.table.size();
    count.expiring += shard.table.expiring();
  }
  return count;
}

void Store::clear(const std::function<void()>& then) {
  std::array<Table, kShards> old;  // freed after the locks: a million destructors take a while
  Locked all(*this, kAllShards);
  for (std::size_t i = 0; i < kShards; ++i) shards_[i].table.take_all(old[i]);
  if (then) then();
}

void Store::observe_expiry(ExpiryObserver* observer) noexcept {
  for (Shard& shard : shards_) shard.table.observe_expiry(observer);
}

std::size_t Store::sweep(std::size_t limit) {
  const Milliseconds now = clock_();
  std::size_t removed = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    removed += shard.table.sweep(now, limit);
  }
  return removed;
}

std::uint64_t Store::expired() {
  std::uint64_t sum = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.table.expired();
  }
  return sum;
}

}  // namespace demo
