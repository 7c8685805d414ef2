// Fibers that never run because there is no stack. The destructors of their closures may wait all
// the same, and no worker's loop waits with them.
#include "sched/base/annotate.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using ramie::spawn;
using ramie_test::PlannedFaults;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

struct Seen {
  ramie::sync::Mutex mutex;
  std::atomic<bool> is_waiting{false};
  std::atomic<bool> is_done{false};
  std::atomic<bool> was_fiber{false};
};

// Its destructor waits for the mutex.
class Waits {
 public:
  explicit Waits(Seen& seen) noexcept : seen_(&seen) {}
  Waits(Waits&& other) noexcept : seen_(std::exchange(other.seen_, nullptr)) {}
  ~Waits() {
    if (seen_ == nullptr) return;
    seen_->was_fiber = ramie::current::is_fiber();
    seen_->is_waiting = true;
    seen_->mutex.lock();
    seen_->mutex.unlock();
    seen_->is_done = true;
  }

 private:
  Seen* seen_;
};

constexpr std::size_t kOdd = 1 << 20;  // a size for which a stack is mapped separately

}  // namespace

TEST_CASE("A closure whose fiber gets no stack is destroyed where its destructor may wait",
          "[sched][spawn]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  Seen seen;
  SchedRuntime runtime(workers);
  seen.mutex.lock();
  const auto error = runtime.run([&] {
    const PlannedFaults faults("mmap 1.. ENOMEM");
    auto refused = spawn({.stack_size = kOdd}, [waits = Waits(seen)] {});
    while (!seen.is_waiting) ramie::yield_now();
    for (int i = 0; i < 100; ++i) ramie::yield_now();  // the worker continues meanwhile
    seen.mutex.unlock();
    const auto joined = refused.join();
    return joined ? std::error_code() : joined.error();
  });
  CHECK(error == std::errc::not_enough_memory);
  CHECK(seen.is_done);
}

// Goal: C.14 during the end of the runtime, when the pool takes no jobs any more. Method: the fiber
// that spawned it computes until then. Without any other stack the thread itself waits.
TEST_CASE("The same while its runtime ends, with and without memory for another stack",
          "[sched][shutdown]") {
  const Watchdog watchdog;
  const bool has_other = GENERATE(true, false);
  Seen seen;
  std::atomic<bool> has_spawned{false};
  SchedRuntime runtime(1);
  seen.mutex.lock();
  spawn([&] {
    spawn({.stack_size = kOdd}, [waits = Waits(seen)] {}).detach();
    has_spawned = true;
    while (!runtime.scheduler().is_shutting_down()) std::this_thread::yield();
    std::this_thread::sleep_for(300ms);                      // until the pool refuses jobs
    while (!has_other && !seen.is_done) ramie::yield_now();  // and keeps its stack
  }).detach();
  spin_until([&] { return has_spawned.load(); });
  const PlannedFaults faults(
      has_other ? "mmap 1.. ENOMEM" : "mmap 1.. ENOMEM; madvise 1.. ENOMEM; mprotect 1.. ENOMEM");
  std::thread unlocker([&] {
    spin_until([&] { return seen.is_waiting.load(); });
    seen.mutex.unlock();
  });
  CHECK(runtime.shut_down(20s).empty());
  unlocker.join();
  CHECK(seen.is_done);
  // The race detector lets no stack be used twice, so there is no other stack.
  if (!ramie_test::chaos_seed()) CHECK(seen.was_fiber == (has_other && RAMIE_TSAN == 0));
}
