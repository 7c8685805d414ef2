// The kth allocation of a whole scenario fails, for every k: what is documented is said or thrown,
// nothing hangs, nothing is left behind. And what must never allocate (F8) does not.
#include "tests/faults/scenario.hpp"
#include "tests/support/failing_memory.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/sync.hpp>

#include <unistd.h>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

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
         code == std::errc::resource_unavailable_try_again;  // a thread's
}

bool is_consequence(std::error_code code) {
  return code == std::errc::connection_reset || code == std::errc::connection_aborted ||
         code == std::errc::broken_pipe || code == std::errc::connection_refused ||
         code == std::errc::not_connected;
}

// What is wrong about a run in which one allocation failed, or none; empty: nothing.
std::string judge(const Findings& findings, bool has_failed) {
  if (findings.has_wrong()) return "a promise is broken";
  for (const faults::Said& one : findings.errors()) {
    if (has_failed && (is_no_memory(one.code) || is_consequence(one.code))) continue;
    // The resolver has no other word for it.
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

}  // namespace

TEST_CASE("Memory: every allocation fails once, and the scenario says so and ends") {
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
  // How many allocations a run makes depends a little on who runs when.
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
