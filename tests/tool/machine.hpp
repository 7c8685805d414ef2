// A machine for the doctor's tests, in which all is well, and what a test asks of its findings. A
// map replaces /proc and /sys.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tools/doctor/checks.hpp"
#include "tools/doctor/operations.hpp"

namespace doctor_test {

using doctor::Finding;
using doctor::Kind;
using doctor::Machine;

using Files = std::map<std::string, std::string>;

inline std::error_code code(int error) { return {error, std::system_category()}; }

// A line of /proc/self/limits.
inline std::string limit_line(std::string_view name, std::string_view soft, std::string_view hard) {
  std::string line(name);
  line.resize(26, ' ');
  line.append(soft).append("   ").append(hard).append("   units\n");
  return line;
}

inline std::string limits(std::string_view open_files = "1048576 1048576",
                          std::string_view core = "unlimited unlimited",
                          std::string_view processes = "63304 63304",
                          std::string_view address_space = "unlimited unlimited") {
  const auto line = [](std::string_view name, std::string_view both) {
    const std::size_t blank = both.find(' ');
    return limit_line(name, both.substr(0, blank), both.substr(blank + 1));
  };
  return "Limit                     Soft Limit           Hard Limit           Units\n" +
         line("Max core file size", core) + line("Max processes", processes) +
         line("Max open files", open_files) + line("Max locked memory", "8388608 8388608") +
         line("Max address space", address_space);
}

// A machine and its files. Copies have files of their own.
struct Place {
  Machine machine;
  Files files;

  std::vector<Finding> examine() const {
    Machine with_files = machine;
    with_files.read = [this](const std::string& path) -> std::optional<std::string> {
      const auto found = files.find(path);
      return found == files.end() ? std::nullopt : std::optional(found->second);
    };
    return doctor::examine(with_files);
  }

  /// The only finding about `subject`.
  Finding about(std::string_view subject) const {
    const auto findings = examine();
    const auto is_it = [&](const Finding& finding) { return finding.subject == subject; };
    INFO(subject << " in\n" << doctor::as_text(findings));
    REQUIRE(std::count_if(findings.begin(), findings.end(), is_it) == 1);
    return *std::find_if(findings.begin(), findings.end(), is_it);
  }
};

inline Place healthy() {
  Place place;
  Machine& machine = place.machine;
  machine.build = {"1.2.3", "GCC 12.2.0", false};
  machine.kernel = "6.18.44-generic";
  machine.cpus = 4;
  machine.ring.mode = ramie::uring::RingMode::cooperative;
  machine.ring.completions = 1024;
  for (const doctor::Operation& one : doctor::kOperations) machine.ring.opcodes.set(one.opcode);
  machine.stack.guard = ramie::sched::GuardMethod::madvise;
  machine.has_fine_timeouts = true;
  machine.clock = std::chrono::nanoseconds(25);
  place.files = {
      {"/proc/self/cgroup", "0::/a\n"},
      {"/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"},
      {"/proc/self/limits", limits()},
      {"/proc/self/status", "Name:\tramie\nCapEff:\t0000000000000000\nSeccomp:\t0\n"},
      {"/proc/sys/vm/max_map_count", "65530\n"},
      {"/proc/sys/vm/overcommit_memory", "0\n"},
      {"/proc/sys/net/core/somaxconn", "4096\n"},
      {"/proc/sys/kernel/core_pattern", "core\n"},
      {"/proc/sys/kernel/io_uring_disabled", "0\n"},
      {"/proc/sys/kernel/yama/ptrace_scope", "0\n"},
      {"/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
      {"/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet \n"},
      {"/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
  };
  return place;
}

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace doctor_test

// The kind of a finding, a part of its fact and a part of its advice; "" for no advice at all.
#define CHECK_FINDING(finding, expected_kind, fact_part, advice_part)                             \
  do {                                                                                            \
    const doctor_test::Finding found = (finding);                                                 \
    INFO(found.fact << " -> " << found.advice);                                                   \
    CHECK((found.kind == (expected_kind)));                                                       \
    CHECK(doctor_test::has(found.fact, fact_part));                                               \
    CHECK((std::string_view(advice_part).empty() ? found.advice.empty()                           \
                                                 : doctor_test::has(found.advice, advice_part))); \
  } while (false)
