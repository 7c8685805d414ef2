// The store: expiry with a clock that the test moves, exact counts, and locks between plain threads
// (the store does not use fibers).
#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tools/demo/store.hpp"

using demo::Milliseconds;
using demo::Store;
using demo::Table;

TEST_CASE("Store: sweep removes what is due, at most the limit per shard, and counts it") {
  Milliseconds now = 1000;
  Store store([&] { return now; });
  for (int i = 0; i < 1000; ++i) {
    const std::string key = std::to_string(i);
    Store::Locked locked = store.lock(key);
    locked.table(key).put(key, "v", now);
    if (i % 2 == 0) locked.table(key).set_deadline(key, 1000 + i);
  }
  CHECK(store.count().keys == 999);  // key 0 was due at once
  CHECK(store.count().expiring == 499);
  now = 1500;
  CHECK(store.sweep(1) <= Store::kShards);
  CHECK(store.sweep(1) > 0);
  while (store.sweep(3) != 0) {
  }
  CHECK(store.expired() == 251);  // 0, 2, ..., 500
  CHECK(store.count().keys == 749);
  CHECK(store.count().expiring == 249);
}

TEST_CASE("Store: a deadline that moves leaves no trace in the index") {
  Milliseconds now = 0;
  Store store([&] { return now; });
  {
    Store::Locked locked = store.lock("k");
    Table& table = locked.table("k");
    table.put("k", "v", now);
    for (Milliseconds deadline = 10; deadline < 1000; ++deadline) table.set_deadline("k", deadline);
    CHECK(table.expiring() == 1);
    table.set_deadline("k", Table::kNever);
    CHECK(table.expiring() == 0);
    table.set_deadline("k", 5);
  }
  now = 5;
  CHECK(store.count().keys == 0);
  CHECK(store.count().expiring == 0);
}

TEST_CASE("Store: erase and clear take the deadlines along") {
  Store store([] { return Milliseconds{0}; });
  for (const char* key : {"a", "b", "c"}) {
    Store::Locked locked = store.lock(key);
    locked.table(key).put(key, "v", 0);
    locked.table(key).set_deadline(key, 10);
  }
  {
    Store::Locked locked = store.lock("a");
    CHECK(locked.table("a").erase("a", 0));
    CHECK_FALSE(locked.table("a").erase("a", 0));
  }
  CHECK(store.count().expiring == 2);
  store.clear();
  CHECK(store.count().keys == 0);
  CHECK(store.count().expiring == 0);
  CHECK(store.sweep() == 0);
}

TEST_CASE("Table: a value that shrank gives its memory back") {
  Table table;
  table.put("k", std::string(1 << 20, 'x'), 0);
  table.put("k", "small", 0);
  CHECK(table.find("k", 0)->string()->capacity() < 1000);
}

TEST_CASE("Store: multi-key locks are atomic and never deadlock") {
  // Four threads set and read the same eight keys as one; a reader must never see two values.
  Store store;
  const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g", "h"};
  std::atomic<int> torn{0};
  const auto work = [&](int id) {
    std::vector<std::string_view> keys(names.begin(), names.end());
    if (id % 2 == 1) std::vector<std::string_view>(keys.rbegin(), keys.rend()).swap(keys);
    for (int i = 0; i < 3000; ++i) {
      const std::string value = std::to_string(id * 10000 + i);
      {
        Store::Locked locked = store.lock(keys);
        for (const auto key : keys) locked.table(key).put(key, value, locked.now());
      }
      Store::Locked locked = store.lock(keys);
      const std::string first = *locked.table(keys[0]).find(keys[0], locked.now())->string();
      for (const auto key : keys) {
        if (*locked.table(key).find(key, locked.now())->string() != first) ++torn;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) threads.emplace_back(work, id);
  for (std::thread& thread : threads) thread.join();
  CHECK(torn == 0);
  CHECK(store.count().keys == names.size());
}

TEST_CASE("Store: increments by many threads are all counted") {
  Store store;
  const auto work = [&] {
    for (int i = 0; i < 20000; ++i) {
      Store::Locked locked = store.lock("n");
      locked.table("n").obtain("n", locked.now()).string()->push_back('x');
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  Store::Locked locked = store.lock("n");
  CHECK(locked.table("n").find("n", locked.now())->string()->size() == 80000);
}
