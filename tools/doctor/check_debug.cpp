// Whether one can look into a program that hangs or has crashed.
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "tools/doctor/checks.hpp"
#include "tools/doctor/proc.hpp"

namespace doctor {
namespace {

constexpr std::string_view kScope = "/proc/sys/kernel/yama/ptrace_scope";

void check_gdb(const Machine& machine, Report& report) {
  const auto yama = number_of(machine.read, std::string(kScope));
  const std::uint64_t scope = yama.value_or(0);
  const bool may_trace = has_capability(machine.read, kSysPtrace);
  const std::string fact =
      yama ? fmt::format("kernel.yama.ptrace_scope={}", scope) : "no kernel.yama.ptrace_scope";
  if (scope >= 3) {
    report.note("gdb", fact + ": no program may attach to another",
                "it stays until the next boot; use core files, or `kill -QUIT` for a dump");
  } else if (scope == 0 || may_trace) {
    report.ok("gdb", fact + ": `gdb -p PID` can attach to your programs");
  } else if (scope == 1) {
    report.note("gdb", fact + ": gdb can attach only to programs that it has started",
                "sudo gdb -p PID, or sysctl -w kernel.yama.ptrace_scope=0");
  } else {
    report.note("gdb", fact + ": only root can attach", "sudo gdb -p PID");
  }
}

void check_core_files(const Machine& machine, Report& report) {
  constexpr std::string_view kPath = "/proc/sys/kernel/core_pattern";
  const std::string pattern = first_line_of(machine.read, std::string(kPath));
  if (pattern.starts_with('|')) {
    const bool is_systemd = pattern.find("systemd-coredump") != std::string::npos;
    report.ok("core files", fmt::format("a crash goes to `{}`{}", pattern.substr(1),
                                        is_systemd ? "; `coredumpctl gdb` opens it" : ""));
    return;
  }
  const auto limit = limit_of(machine.read, "Max core file size");
  if (!machine.read(std::string(kPath))) {
    report.unknown("core files", kPath);
  } else if (!limit) {
    report.unknown("core files", "/proc/self/limits");
  } else if (limit->soft == 0) {
    report.note("core files", "RLIMIT_CORE is 0: a crash leaves no core file",
                "ulimit -c unlimited; LimitCORE=infinity in a systemd unit");
  } else {
    report.ok("core files", fmt::format("a crash writes `{}` (kernel.core_pattern)", pattern));
  }
}

}  // namespace

void check_debug(const Machine& machine, Report& report) {
  check_gdb(machine, report);
  check_core_files(machine, report);
}

}  // namespace doctor
