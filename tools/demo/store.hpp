// The key space of the demo: strings and lists with expiry, shared by every connection.
//
//   key --hash--> one of 32 shards { mutex, table, keys by deadline }
//
// The lock of a shard is a plain std::mutex on purpose. A fiber holds it for a table lookup and a
// copy and never parks meanwhile, so no thread waits for a worker that runs another fiber. A
// command on several keys takes the locks of all their shards in ascending order, so there is no
// deadlock, and the command is as atomic as in a single-threaded server. A 512 MiB value is copied
// under its lock: others on that shard wait for the copy, as all clients of Redis would.
//
// Expiry: no command sees a key after its deadline, because each lookup checks it; sweep() removes
// keys that no client asks for. The deadlines are an ordered index, so DBSIZE is exact, and a sweep
// touches only what it removes.
//
// Rejected: one lock (two workers spend a third of a SET waiting), a lock-free table (no gain at
// the sizes of a demo), ramie::Mutex (it parks the fiber: right for long sections, expensive for
// these).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

#include "tools/demo/table.hpp"

namespace demo {

class Store {
 public:
  /// Half of the locks that ThreadSanitizer lets one thread hold; the log needs one more.
  static constexpr std::size_t kShards = 32;
  /// Milliseconds since the epoch; tests inject their own.
  using Clock = std::function<Milliseconds()>;

  explicit Store(Clock clock = system_clock_ms);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The tables of some shards, locked as long as this lives. Never park while holding one.
  class Locked {
   public:
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    ~Locked();

    /// The table that holds `key`, which must be one of the locked keys.
    Table& table(std::string_view key) noexcept { return table(Table::hash(key)); }
    Table& table(std::size_t hash) noexcept;
    Milliseconds now() const noexcept { return now_; }

   private:
    friend class Store;
    Locked(Store& store, std::uint64_t mask);
    Store& store_;
    std::uint64_t mask_;
    Milliseconds now_;
  };

  [[nodiscard]] Locked lock(std::string_view key);
  /// Locks every `stride`-th key (MSET: 2).
  [[nodiscard]] Locked lock(std::span<const std::string_view> keys, std::size_t stride = 1);

  /// Live keys, and how many of them have a deadline: exact, at one instant.
  struct Count {
    std::size_t keys = 0;
    std::size_t expiring = 0;
  };
  Count count();
  /// `then` runs while every shard is still locked.
  void clear(const std::function<void()>& then = {});
  /// Removes keys past their deadline, at most `limit` per shard and call. Returns how many.
  std::size_t sweep(std::size_t limit = 1000);
  /// Keys that have expired so far, swept or found by a lookup.
  std::uint64_t expired();
  Milliseconds now() const { return clock_(); }

  /// Call both before the store is shared, or after.
  Clock exchange_clock(Clock clock) { return std::exchange(clock_, std::move(clock)); }
  void observe_expiry(ExpiryObserver* observer) noexcept;

  static Milliseconds system_clock_ms();

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    Table table;
  };

  static constexpr std::uint64_t kAllShards = (std::uint64_t{1} << kShards) - 1;
  static std::size_t shard_of(std::size_t hash) noexcept {
    return hash >> (64 - std::countr_zero(kShards));
  }
  static std::uint64_t bit_of(std::string_view key) noexcept {
    return std::uint64_t{1} << shard_of(Table::hash(key));
  }

  Clock clock_;
  std::array<Shard, kShards> shards_;
};

}  // namespace demo
