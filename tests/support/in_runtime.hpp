// A runtime for one test. The test's function runs in the root fiber. Afterwards nothing may be
// left:
// no fiber, no stack, no registration, no timer, no descriptor.
//
// Only the root fiber may CHECK and REQUIRE, because Catch2 is not thread-safe. Other fibers return
// their results.
#pragma once

#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/process.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/net.hpp>
#include <ramie/runtime.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstddef>
#include <system_error>
#include <utility>

namespace ramie_test {

using namespace std::chrono_literals;

inline constexpr std::size_t kWorkerCounts[] = {1, 2, 4};

// The first listener of a process opens a descriptor that stays in reserve.
inline void open_reserve() {
  static const bool is_open = make_runtime(1).block_on(
      [] { return ramie::net::TcpListener::bind("127.0.0.1:0").has_value(); });
  REQUIRE(is_open);
}

template <class F>
void in_runtime_of(ramie::runtime::Builder builder, F&& function) {
  const Watchdog watchdog(std::chrono::seconds(60));
  open_reserve();
  const std::size_t descriptors = open_descriptors();
  {
    ramie::runtime::Runtime runtime = ramie::or_throw(builder.build());
    runtime.block_on(std::forward<F>(function));
    if (!chaos_seed()) CHECK(runtime.metrics().rescues == 0);  // no lost wake-up
    CHECK(runtime.shutdown(10s).empty());
  }
  CHECK(open_descriptors() == descriptors);
}

template <class F>
void in_runtime(std::size_t workers, F&& function) {
  in_runtime_of(quiet_builder(workers), std::forward<F>(function));
}

// Polls until `condition()` holds, at most twenty seconds.
template <class Condition>
bool eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    (void)ramie::sleep_for(200us);
  }
  return true;
}

// Returns how many fibers of this runtime are parked in this kind of wait.
inline std::size_t parked(ramie::sched::WaitKind kind) {
  std::size_t n = 0;
  ramie::sched::current_scheduler()->for_each_fiber([&](ramie::sched::Fiber& fiber) {
    if (fiber.waits_for.load(ramie::base::kRelaxed) == kind &&
        fiber.word.state() == ramie::sched::FiberWord::kParked)
      ++n;
  });
  return n;
}

inline bool until_parked(ramie::sched::WaitKind kind, std::size_t wanted) {
  return eventually([=] { return parked(kind) == wanted; });
}

}  // namespace ramie_test
