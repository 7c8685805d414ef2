// Ramie itself: its version, and the RAMIE_* variables.
#include <bit>
#include <string>

#include <fmt/format.h>

#include "runtime/config.hpp"
#include "tools/doctor/checks.hpp"

namespace doctor {
namespace {

void check_build(const Build& build, Report& report) {
  std::string fact = fmt::format("version {}, compiled by {}", build.version, build.compiler);
  if (build.has_assertions) {
    report.note("ramie", fact + ", with internal assertions, which cost time",
                "measure and deploy a build with --buildtype=release or debugoptimized");
  } else {
    report.ok("ramie", std::move(fact));
  }
}

void check_environment(const ramie::runtime::EnvResult& environment, Report& report) {
  for (const std::string& message : environment.messages) {
    if (environment.fatal) report.bad("environment", message, "RAMIE_STRICT: correct or unset it");
    else report.note("environment", message, "correct it or unset it; see ramie-env(7)");
  }
  if (environment.values.chaos) {
    report.note("environment", "RAMIE_CHAOS is set: a test mode, in which fibers run slowly",
                "unset it outside of tests");
  }
  if (!environment.messages.empty() || environment.values.chaos) return;
  const auto count = static_cast<unsigned>(std::popcount(environment.set));
  report.ok("environment", count == 0 ? "no RAMIE_* variable is set"
                                      : fmt::format("RAMIE_* variables that are set: {}; `ramie "
                                                    "env` shows them",
                                                    count));
}

}  // namespace

void check_program(const Machine& machine, Report& report) {
  check_build(machine.build, report);
  check_environment(machine.environment, report);
}

std::vector<Finding> examine(const Machine& machine) {
  Report report;
  check_program(machine, report);
  check_kernel(machine, report);
  check_ring(machine, report);
  check_limits(machine, report);
  check_debug(machine, report);
  return report.take();
}

}  // namespace doctor
