// Goal: the nth call of every system call fails with every error that it may have. The scenario
// ends, nothing is left, and the library returns the same error, or none where it can go on.
//
// n is sampled. FAULT_SWEEP=full takes every n up to 50, FAULT_SWEEP=few takes only a few, and
// FAULT_SWEEP=one the first.
#include "sched/base/annotate.hpp"
#include "tests/faults/calls.hpp"
#include "tests/faults/scenario.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/uring.hpp"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using faults::Answer;
using faults::Findings;

constexpr unsigned kRunLimit = 60;  // seconds
constexpr bool kIsSanitized = RAMIE_ASAN != 0 || RAMIE_TSAN != 0;

// Stops the program with the name of a run that hangs. One at a time.
class RunLimit {
 public:
  explicit RunLimit(const std::string& name) {
    (void)std::snprintf(text_.data(), text_.size(), "fault_tests: this run hangs: %s\n",
                        name.c_str());
    (void)std::signal(SIGALRM, [](int) {
      (void)!::write(STDERR_FILENO, text_.data(), std::char_traits<char>::length(text_.data()));
      std::abort();
    });
    ::alarm(kRunLimit);
  }
  ~RunLimit() { ::alarm(0); }
  RunLimit(const RunLimit&) = delete;
  RunLimit& operator=(const RunLimit&) = delete;

 private:
  static inline std::array<char, 256> text_{};
};

std::string_view wanted_sweep() {
  const char* wanted = std::getenv("FAULT_SWEEP");
  return wanted == nullptr ? "" : wanted;
}

std::vector<unsigned> numbers() {
  const std::string_view wanted = wanted_sweep();
  std::vector<unsigned> all;
  if (wanted == "full" || std::getenv("STRESS_LONG") != nullptr) {
    for (unsigned n = 1; n <= 50; ++n) all.push_back(n);
  } else if (wanted == "one") {
    all = {1};
  } else if (wanted == "few") {
    all = {1, 3, 8};
  } else if (kIsSanitized) {
    all = {1, 2, 4, 9, 20};
  } else {
    all = {1, 2, 3, 5, 8, 13, 21, 34, 50};
  }
  return all;
}

// The errors that others may see when a connection or its other end was closed.
bool is_consequence(std::error_code code) {
  return code == std::errc::connection_reset || code == std::errc::connection_aborted ||
         code == std::errc::broken_pipe || code == std::errc::connection_refused ||
         code == std::errc::not_connected;
}

// Returns what the run should not have returned; empty if all is well. `hits` counts the fault
// itself; `struck` also counts the faults that made it possible.
std::string judge(const Findings& findings, Answer answer, int error, unsigned hits,
                  unsigned struck) {
  bool is_reported = false;
  for (const faults::Said& one : findings.errors()) {
    const bool is_it =
        one.code.value() == error && (one.code.category() == std::system_category() ||
                                      one.code.category() == std::generic_category());
    is_reported = is_reported || is_it;
    if (struck != 0 && answer != Answer::absorbed && (is_it || is_consequence(one.code))) continue;
    return std::string("nobody expects this error at ") + one.where;
  }
  if (hits != 0 && answer == Answer::reported && !is_reported) return "the error was swallowed";
  return {};
}

struct Run {
  std::string name;
  unsigned hits = 0;
  std::string complaint;
};

// The first rule of `plan` is the fault; the others make it possible.
Run run_with(const std::string& plan, Answer answer, const faults::Scenario& scenario) {
  Run run{plan, 0, {}};
  const RunLimit limit(plan);
  const std::size_t before = open_descriptors();
  const auto findings = std::make_unique<Findings>();
  int error = 0;
  unsigned struck = 0;
  {
    const auto rules = FaultText::parse(plan);
    error = rules.front().error;
    const PlannedFaults faults(rules);
    faults::run(scenario, *findings);
    run.hits = faults.hits();
    struck = faults.all_hits();
  }
  std::size_t after = open_descriptors();
  if (after != before) {  // the reserve may have been used
    faults::open_reserve();
    after = open_descriptors();
  }
  run.complaint = judge(*findings, answer, error, run.hits, struck);
  if (findings->has_wrong()) run.complaint = "a promise is broken";
  if (after != before)
    run.complaint =
        std::to_string(before) + " descriptors before, " + std::to_string(after) + " afterwards";
  if (!run.complaint.empty()) run.complaint = plan + ": " + run.complaint + '\n' + findings->text();
  return run;
}

std::string plan_of(const faults::Call& call, int error, unsigned n, const char* lasts = "") {
  std::string plan(call.name);
  plan += ' ' + std::to_string(n) + lasts + ' ' + std::string(errno_name(error));
  if (!call.with.empty()) plan += "; " + std::string(call.with);
  return plan;
}

// Alternates between few workers and many, and one epoll or two. Only some calls need pinned
// workers.
// A stream is duplicated if it is in the only epoll already.
// A crowd takes most of a run under a sanitizer, so only calls that make stacks have one there.
faults::Scenario scenario_for(const faults::Call& call, unsigned n) {
  static constexpr std::string_view kOfStacks[] = {"madvise", "mmap", "mprotect", "munmap"};
  return {.workers = 1 + n % 4,
          .shards = call.name == "dup_stream" ? 1 : 1 + n % 2,
          .crowd = kIsSanitized && !is_among(kOfStacks, call.name) ? 20UZ : 300UZ,
          .is_pinned = call.name.starts_with("sched_")};
}

// From the nth call on for ever, if the error can last without the end of everything. (Not for
// accept, where all clients would wait, nor for a wait that is always interrupted.)
bool may_last(const faults::Call& call, int error) {
  static constexpr std::string_view kPassing[] = {"accept4",       "epoll_wait",    "epoll_pwait2",
                                                  "write_eventfd", "poll",          "futex_wait",
                                                  "read_eventfd",  "io_uring_enter"};
  return error != EINTR && error != EAGAIN && !is_among(kPassing, call.name);
}

// Whether the call is made only where there is io_uring.
bool is_of_rings(const faults::Call& call) {
  return call.name == "io_uring_enter" || call.name == "fcntl_set" || call.name == "uring_op";
}

// Takes every other call of the table, from the given one on.
void sweep(std::size_t first) {
  faults::open_reserve();
  const bool has_ring = uring_error() == 0;
  const auto& calls = faults::calls();
  unsigned runs = 0;
  unsigned struck = 0;
  for (std::size_t i = first; i < calls.size(); i += 2) {
    const faults::Call& call = calls[i];
    unsigned struck_here = 0;
    for (const int error : call.errors) {
      for (const unsigned n : numbers()) {
        const Run run = run_with(plan_of(call, error, n), call.answer, scenario_for(call, n));
        ++runs;
        struck_here += run.hits;
        if (!run.complaint.empty()) UNSCOPED_INFO(run.complaint);
        CHECK(run.complaint.empty());
        if (run.hits == 0) break;  // there are fewer calls
      }
    }
    if (struck_here == 0 && ramie_test::is_emulated() && call.name == "statmount") {
      ramie_test::say_skipped("statmount: emulated: statx tells no mount");
      continue;
    }
    UNSCOPED_INFO(call.name << " was never made: the scenario lacks it");
    CHECK((struck_here > 0 || (!has_ring && is_of_rings(call))));
    struck += struck_here;
  }
  (void)std::fprintf(stderr, "fault sweep: %u runs, %u calls failed\n", runs, struck);
}

}  // namespace

TEST_CASE("Faults: the scenario without faults gets no error") {
  faults::open_reserve();
  for (int i = 0; i < 3; ++i) {
    const Run run = run_with("getrandom 1000 EINTR", Answer::absorbed, {});
    INFO(run.complaint);
    CHECK(run.complaint.empty());
    CHECK(run.hits == 0);
  }
}

// FAULT_PLAN="mprotect 15 EACCES; madvise 1.. EINVAL" fault_tests "Alone: one plan*"
TEST_CASE("Alone: one plan, whose first fault must be reported, a hundred times", "[.]") {
  faults::open_reserve();
  const char* plan = std::getenv("FAULT_PLAN");
  REQUIRE(plan != nullptr);
  for (unsigned i = 0; i < 100; ++i) {
    const Run run = run_with(plan, Answer::reported, {.workers = 1 + i % 4, .shards = 1 + i % 2});
    UNSCOPED_INFO(run.complaint);
    CHECK(run.complaint.empty());
  }
}

// Two cases, so that two processes share them: each has every other call of the table.
TEST_CASE("Faults: the nth call of every system call fails with every error that it may have") {
  sweep(0);
}

TEST_CASE("Faults: the nth call of every other system call fails, too") { sweep(1); }

TEST_CASE("Faults: a system call fails for ever from some call on") {
  faults::open_reserve();
  unsigned runs = 0;
  const std::vector<unsigned> firsts =
      wanted_sweep() == "one" ? std::vector{1U} : std::vector{1U, 2U, 4U, 7U};
  for (const faults::Call& call : faults::calls()) {
    for (const int error : call.errors) {
      if (!may_last(call, error)) continue;
      for (const unsigned n : firsts) {
        const bool is_reported = call.answer == Answer::reported_if_it_lasts;
        const Run run =
            run_with(plan_of(call, error, n, ".."), is_reported ? Answer::reported : call.answer,
                     scenario_for(call, n));
        ++runs;
        if (!run.complaint.empty()) UNSCOPED_INFO(run.complaint);
        CHECK(run.complaint.empty());
      }
    }
  }
  (void)std::fprintf(stderr, "fault sweep: %u runs with a fault that lasts\n", runs);
}

// Many small faults at once, drawn by chance. They are all common, so the program handles them.
TEST_CASE("Faults: many interruptions, short transfers and delays have no effect") {
  faults::open_reserve();
  const std::vector<FaultRule> swarm = FaultText::parse(R"(
      recv p=0.2 short=1;      send p=0.2 short=3;   recvmsg p=0.2 short=2; sendmsg p=0.2 short=1
      recv p=0.1 EINTR;        send p=0.1 EINTR;     accept4 p=0.3 ECONNABORTED
      connect p=0.2 EINTR;
      epoll_wait p=0.1 EINTR;  epoll_pwait2 p=0.1 EINTR; futex_wait p=0.1 EINTR
      accept4 p=0.1 ENOBUFS;
      write_eventfd p=0.1 EINTR; write_eventfd p=0.1 delay=200us; futex_wake p=0.1 delay=200us
      epoll_ctl p=0.1 delay=300us; close p=0.1 delay=300us;  mmap p=0.3 delay=500us
      preadv2 p=0.3 short=9;   pwritev2 p=0.3 short=7; openat p=0.3 EINTR; statx p=0.3 EINTR
      preadv2 p=0.2 EINTR;     pwritev2 p=0.2 EINTR;   ftruncate p=0.3 EINTR
      copy_file_range p=0.3 short=2; copy_file_range p=0.2 EXDEV; unlinkat p=0.2 EINTR
      renameat2 p=0.2 EINTR;   linkat p=0.2 EINTR;     read_inotify p=0.3 EINTR
      madvise p=0.1 EINVAL;    prctl p=0.5 EPERM;    getrandom p=0.5 EAGAIN; open p=0.3 EMFILE)");
  const std::uint64_t seeds = numbers().size() * 5;
  unsigned struck = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const RunLimit limit("the swarm with seed " + std::to_string(seed));
    const auto findings = std::make_unique<Findings>();
    {
      const PlannedFaults faults(swarm, seed);
      faults::run({}, *findings);
      struck += faults.all_hits();
    }
    CAPTURE(seed);
    CHECK(findings->text() == "");
  }
  CHECK(struck > seeds * 20);
}
