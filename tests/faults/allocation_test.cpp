// Goal: the kth allocation of a whole scenario fails, for every k. The documented error is returned
// or thrown, nothing hangs and nothing is left. What must never allocate (F8) does not.
#include "tests/faults/scenario.hpp"
#include "tests/support/child.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/failing_memory.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/text.hpp"

#include <ramie/sync.hpp>

#include <unistd.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
using faults::Findings;

constexpr unsigned kRunLimit = 60;  // seconds

std::uint64_t current_k = 0;

void begin_run(std::uint64_t k) {
  current_k = k;
  (void)std::signal(SIGALRM, [](int) {
    char text[80];
    const int n = std::snprintf(text, sizeof text, "alloc_tests: hangs when allocation %lu fails\n",
                                static_cast<unsigned long>(current_k));
    (void)!::write(STDERR_FILENO, text, static_cast<std::size_t>(n));
    std::abort();
  });
  ::alarm(kRunLimit);
}

bool is_no_memory(std::error_code code) {
  return code == std::errc::not_enough_memory ||
         code == std::errc::resource_unavailable_try_again;  // from a thread
}

bool is_consequence(std::error_code code) {
  return code == std::errc::connection_reset || code == std::errc::connection_aborted ||
         code == std::errc::broken_pipe || code == std::errc::connection_refused ||
         code == std::errc::not_connected;
}

// Returns what is wrong about a run in which one allocation failed, or none; empty if nothing is.
std::string judge(const Findings& findings, bool has_failed) {
  if (findings.has_wrong()) return "a promise is broken";
  for (const faults::Said& one : findings.errors()) {
    if (has_failed && (is_no_memory(one.code) || is_consequence(one.code))) continue;
    // The resolver has no other error for it.
    if (has_failed && one.code == std::errc::address_not_available) continue;
    return std::string("nobody expects this error at ") + one.where;
  }
  return {};
}

struct Outcome {
  std::uint64_t allocations = 0;
  bool has_failed = false;
  std::string complaint;
};

Outcome run_with(std::uint64_t k, const faults::Scenario& scenario) {
  static const auto findings = std::make_unique<Findings>();
  std::destroy_at(findings.get());
  std::construct_at(findings.get());
  begin_run(k);
  const std::size_t before = open_descriptors();
  Memory::begin(k);
  faults::run(scenario, *findings);
  Outcome outcome{Memory::end(), Memory::has_failed(), {}};
  ::alarm(0);
  const std::size_t after = open_descriptors();
  outcome.complaint = judge(*findings, outcome.has_failed);
  if (after != before)
    outcome.complaint = std::to_string(before) + " descriptors before, " + std::to_string(after);
  if (!outcome.complaint.empty())
    outcome.complaint =
        "allocation " + std::to_string(k) + ": " + outcome.complaint + '\n' + findings->text();
  return outcome;
}

bool is_full() {
  const char* wanted = std::getenv("FAULT_SWEEP");
  return std::getenv("STRESS_LONG") != nullptr ||
         (wanted != nullptr && std::string_view(wanted) == "full");
}

// The fibers whose blocks are in use.
std::size_t blocks_in_use(ramie::runtime::Runtime& runtime) {
  return runtime.block_on([] {
    std::size_t n = 0;
    ramie::sched::current_scheduler()->for_each_fiber([&n](ramie::sched::Fiber&) { ++n; });
    return n - 1;  // without this one
  });
}

void compute(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

}  // namespace

TEST_CASE("Memory: every allocation fails once, and the scenario reports it and ends") {
  const faults::Scenario scenario =
      GENERATE(faults::Scenario{.clients = 2, .crowd = 80},
               faults::Scenario{.workers = 4, .shards = 2, .clients = 2, .crowd = 10});
  faults::open_reserve();
  for (int i = 0; i < 3; ++i) {
    const Outcome quiet = run_with(0, scenario);
    INFO(quiet.complaint);
    REQUIRE(quiet.complaint.empty());
  }
  std::uint64_t failed = 0;
  int in_vain = 0;
  std::uint64_t most = 0;
  // The number of allocations in a run depends a little on the schedule.
  for (std::uint64_t k = 1; in_vain < 5; k += k < 150 || is_full() ? 1U : 7U) {
    const Outcome run = run_with(k, scenario);
    failed += run.has_failed ? 1 : 0;
    in_vain = run.has_failed ? 0 : in_vain + 1;
    most = std::max(most, run.allocations);
    if (!run.complaint.empty()) UNSCOPED_INFO(run.complaint);
    CHECK(run.complaint.empty());
  }
  CHECK(failed > 40);
  (void)std::fprintf(stderr, "allocation sweep: %lu failed, of about %lu\n",
                     static_cast<unsigned long>(failed), static_cast<unsigned long>(most));
}

// Goal: a dump without memory throws std::bad_alloc or is shorter, and has no lasting effect.
// Method:
// the kth allocation of a dump fails, for every k. After each failure the next dump must be whole.
TEST_CASE("Memory: every allocation of a dump fails once, and the next dump is whole") {
  const auto end = run_in_child([] {
    auto builder = quiet_builder(2);
    auto runtime = ramie::or_throw(builder.process_wide(true).stall(0ms).build());
    ramie::sync::Semaphore gate(0);
    std::atomic<bool> stop{false};
    std::vector<ramie::JoinHandle<void>> fibers;
    for (int i = 0; i < 3; ++i) fibers.push_back(runtime.spawn([&gate] { (void)gate.acquire(); }));
    fibers.push_back(runtime.spawn([&stop] { compute(stop); }));
    const auto is_whole = [&] {
      const std::string text = runtime.handle().dump();
      return count(text, "3 fibers parked: Semaphore") == 1 &&
             count(text, "1 fiber running\n") == 1 && count(text, "allocation_test.cpp") >= 2;
    };
    if (!comes_true(is_whole)) ::_exit(1);
    int thrown = 0;
    int in_vain = 0;
    for (std::uint64_t k = 1; in_vain < 5; ++k) {
      Memory::begin(k);
      try {
        (void)runtime.handle().dump();
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
      (void)Memory::end();
      in_vain = Memory::has_failed() ? 0 : in_vain + 1;
      if (k % 8 == 1 && !comes_true(is_whole)) ::_exit(2);
    }
    if (thrown < 20) ::_exit(3);
    stop = true;
    gate.release(3);
    for (auto& fiber : fibers) (void)fiber.join();
    fibers.clear();
    if (!comes_true([&] { return blocks_in_use(runtime) == 0; })) ::_exit(4);
    if (!runtime.shutdown(5s).empty()) ::_exit(5);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Memory: the watchdog reports a lack of memory, and makes its report later") {
  const auto end = run_in_child([] {
    auto builder = quiet_builder(1);
    auto runtime = ramie::or_throw(builder.process_wide(true).stall(20ms).build());
    std::atomic<int> step{0};
    std::atomic<bool> stop{false};
    auto hog = runtime.spawn([&] {
      step = 1;
      while (step == 1) {
      }
      ramie::yield_now();
      compute(stop);
    });
    while (step != 1) std::this_thread::sleep_for(1ms);
    // A report is counted before it is made. So when the next one is counted, it has been made.
    const auto reports_one = [&runtime] {
      const auto before = runtime.metrics().stalls;
      return comes_true([&] { return runtime.metrics().stalls >= before + 2; });
    };
    Memory::begin(Memory::kEach);
    const bool is_without_memory = reports_one();
    (void)Memory::end();
    step = 2;
    const bool is_with_memory = reports_one();
    stop = true;
    (void)hog.join();
    if (!is_without_memory || !is_with_memory) ::_exit(2);
    {
      auto handle = std::move(hog);
    }
    if (!comes_true([&] { return blocks_in_use(runtime) == 0; })) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("ramie: no memory for a report of the watchdog\n"));
  CHECK(end.says(" without a break"));
}
