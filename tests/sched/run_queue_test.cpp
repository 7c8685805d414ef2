// The worker's own queue under load: overflow, stealing, and both at once.
#include "sched/run_queue.hpp"
#include "tests/support/sched_runtime.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

using ramie::sched::RunQueue;
using ramie_test::Watchdog;

namespace {

using Queue = RunQueue<int>;

std::vector<int> numbers(int n) {
  std::vector<int> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

void refuse(std::span<int*>) { FAIL("nothing should have spilled"); }

}  // namespace

// Goal: the 257th push hands over the newer half and its own element, in order, and loses nothing.
TEST_CASE("B06 RunQueue: the 257th push spills the newest half", "[sched][queue]") {
  std::vector<int> values = numbers(257);
  Queue queue;
  for (int i = 0; i < 256; ++i) queue.push(&values[static_cast<std::size_t>(i)], refuse);
  CHECK(queue.size() == 256);
  std::vector<int> spilled;
  int batches = 0;
  queue.push(&values[256], [&](std::span<int*> batch) {
    ++batches;
    for (const int* value : batch) spilled.push_back(*value);
  });
  CHECK(batches == 1);
  REQUIRE(spilled.size() == 129);
  for (std::size_t i = 0; i < spilled.size(); ++i) CHECK(spilled[i] == static_cast<int>(i) + 128);
  for (int i = 0; i < 128; ++i) CHECK(*queue.pop() == i);
  CHECK(queue.pop() == nullptr);
}

TEST_CASE("B07 RunQueue: a thief takes the older half, rounded up", "[sched][queue]") {
  std::vector<int> values = numbers(256);
  for (const int n : {1, 2, 3, 4, 5, 127, 128, 255, 256}) {
    Queue victim;
    Queue thief;
    for (int i = 0; i < n; ++i) victim.push(&values[static_cast<std::size_t>(i)], refuse);
    const int taken = (n + 1) / 2;
    INFO(n << " elements");
    int* last = victim.steal_into(thief);
    REQUIRE(last != nullptr);
    CHECK(*last == taken - 1);
    CHECK(thief.size() == static_cast<std::uint32_t>(taken - 1));
    CHECK(victim.size() == static_cast<std::uint32_t>(n - taken));
    for (int i = 0; i + 1 < taken; ++i) CHECK(*thief.pop() == i);
    for (int i = taken; i < n; ++i) CHECK(*victim.pop() == i);
  }
  Queue empty;
  Queue thief;
  CHECK(empty.steal_into(thief) == nullptr);
}

TEST_CASE("RunQueue: a thief with a bound takes no more, one with a full queue takes just one",
          "[sched][queue]") {
  std::vector<int> values = numbers(256);
  Queue victim;
  Queue thief;
  for (int i = 0; i < 100; ++i) victim.push(&values[static_cast<std::size_t>(i)], refuse);
  CHECK(*victim.steal_into(thief, 4) == 3);
  CHECK(victim.size() == 96);
  for (int i = 100; i < 229; ++i) thief.push(&values[static_cast<std::size_t>(i)], refuse);
  CHECK(thief.size() == 132);
  CHECK(*victim.steal_into(thief) == 4);
  CHECK(victim.size() == 95);
  CHECK(thief.size() == 132);
}

TEST_CASE("RunQueue: a batch keeps its order, and only what fits goes in", "[sched][queue]") {
  std::vector<int> values = numbers(300);
  std::vector<int*> pointers;
  for (int& value : values) pointers.push_back(&value);
  Queue queue;
  CHECK(queue.push_batch(std::span(pointers).first(200)) == 200);
  CHECK(queue.push_batch(std::span(pointers).subspan(200)) == 56);
  CHECK(queue.push_batch(std::span(pointers).first(1)) == 0);
  for (int i = 0; i < 256; ++i) CHECK(*queue.pop() == i);
  CHECK(queue.is_empty());
}

// Goal: under pushes, pops, overflow and two thieves at once, each of 1,000,000 elements comes out
// exactly once. Method: a counter for each element.
TEST_CASE("B07 RunQueue: theft, overflow and pop at once conserve every element",
          "[sched][queue]") {
  const Watchdog watchdog;
  constexpr int kElements = 1'000'000;
  std::vector<int> values = numbers(kElements);
  auto seen = std::make_unique<std::atomic<std::uint8_t>[]>(kElements);
  Queue queue;
  std::atomic<bool> is_over{false};
  const auto note = [&](const int* value) {
    seen[static_cast<std::size_t>(*value)].fetch_add(1, std::memory_order_relaxed);
  };
  std::vector<std::thread> thieves;
  std::atomic<int> stolen{0};
  for (int t = 0; t < 2; ++t)
    thieves.emplace_back([&] {
      Queue own;
      for (;;) {
        const bool last_round = is_over.load();
        int count = 0;
        if (const int* value = queue.steal_into(own)) {
          note(value);
          ++count;
        }
        while (const int* value = own.pop()) {
          note(value);
          ++count;
        }
        stolen.fetch_add(count);
        if (last_round && count == 0) return;
      }
    });
  for (int i = 0; i < kElements; ++i) {
    queue.push(&values[static_cast<std::size_t>(i)], [&](std::span<int*> batch) {
      for (const int* value : batch) note(value);
    });
    if (i % 3 == 0)
      if (const int* value = queue.pop()) note(value);
  }
  while (const int* value = queue.pop()) note(value);
  is_over = true;
  for (std::thread& thief : thieves) thief.join();
  int wrong = 0;
  for (int i = 0; i < kElements; ++i) wrong += seen[static_cast<std::size_t>(i)].load() != 1;
  CHECK(wrong == 0);
  INFO(stolen.load() << " were stolen");
  CHECK(queue.is_empty());
}

// The same law in a running scheduler: one fiber makes 257 others runnable at once.
TEST_CASE("B06 an overflowing worker loses nothing and counts one overflow",
          "[sched][queue][exact]") {
  const Watchdog watchdog;
  auto options = ramie_test::with_workers(1);
  options.lifo = 0;
  ramie_test::SchedRuntime runtime(options);
  std::atomic<int> ran{0};
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  const auto joined = runtime.run([&] {
    std::vector<ramie::JoinHandle<void>> handles;
    for (int i = 0; i < 256; ++i) handles.push_back(ramie::spawn([&ran] { ++ran; }));
    before = runtime.sum(&ramie::sched::WorkerMetrics::overflows);
    handles.push_back(ramie::spawn([&ran] { ++ran; }));
    after = runtime.sum(&ramie::sched::WorkerMetrics::overflows);
    for (auto& handle : handles) (void)handle.join();
  });
  CHECK(joined.has_value());
  CHECK(before == 0);
  CHECK(after == 1);
  CHECK(ran == 257);
  CHECK(runtime.sum(&ramie::sched::WorkerMetrics::injected) >= 129);
}
