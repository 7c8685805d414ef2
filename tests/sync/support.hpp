// Shared by the tests of sync. Only the test's thread makes assertions. Fibers and threads return
// or collect what they saw.
#pragma once

#include "sched/fiber.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/mini_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ramie_test {

using namespace std::chrono_literals;

// Every law holds with any number of workers.
template <class Body>
void with_workers(Body&& body) {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    CAPTURE(workers);
    MiniRuntime runtime(workers);
    body(runtime);
  }
}

// The number of fibers that are parked in a wait of this kind.
inline std::size_t parked(MiniRuntime& runtime, ramie::sched::WaitKind kind) {
  std::size_t count = 0;
  runtime.scheduler().for_each_fiber([&](ramie::sched::Fiber& fiber) {
    if (fiber.word.state() == ramie::sched::FiberWord::kParked &&
        fiber.waits_for.load(ramie::base::kRelaxed) == kind)
      ++count;
  });
  return count;
}

[[nodiscard]] inline bool park_comes_true(MiniRuntime& runtime, ramie::sched::WaitKind kind,
                                          std::size_t count) {
  return comes_true([&] { return parked(runtime, kind) == count; });
}

template <class T>
std::error_code code_of(const ramie::Result<T>& result) {
  return result ? std::error_code() : result.error();
}

// Runs the function in fibers and threads at once, and waits for all of them.
class Crowd {
 public:
  ~Crowd() { join(); }

  template <class F>
  void add_fibers(int count, F function) {
    for (int i = 0; i < count; ++i) fibers_.push_back(ramie::spawn(function, i));
  }
  template <class F>
  void add_threads(int count, F function) {
    for (int i = 0; i < count; ++i) threads_.emplace_back(function, i);
  }
  void cancel_fibers() {
    for (auto& fiber : fibers_) fiber.cancel();
  }
  void join() {
    for (auto& fiber : fibers_) (void)fiber.join();
    for (auto& thread : threads_) thread.join();
    fibers_.clear();
    threads_.clear();
  }

 private:
  std::vector<ramie::JoinHandle<void>> fibers_;
  std::vector<std::thread> threads_;
};

// The order of events, from any fiber or thread.
class Log {
 public:
  void add(int what) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(what);
  }
  std::vector<int> entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }
  std::size_t size() const { return entries().size(); }

 private:
  mutable std::mutex mutex_;
  std::vector<int> entries_;
};

inline std::vector<int> numbers(int from, int to) {
  std::vector<int> result;
  for (int i = from; i < to; ++i) result.push_back(i);
  return result;
}

}  // namespace ramie_test
