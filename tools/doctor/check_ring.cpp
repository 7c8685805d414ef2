// io_uring: whether it works, why not, and which operations are missing.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <ramie/error.hpp>

#include "tools/doctor/checks.hpp"
#include "tools/doctor/operations.hpp"
#include "tools/doctor/proc.hpp"

namespace doctor {
namespace {

using ramie::runtime::FileBackend;
using ramie::runtime::IoBackend;

struct Cause {
  std::string why;
  std::string advice;
};

std::string seccomp_mode(const Machine& machine) {
  return field_of(machine.read, "/proc/self/status", "Seccomp").value_or("unknown");
}

Cause filter_or(const Machine& machine, Cause other) {
  const std::string mode = seccomp_mode(machine);
  if (mode != "1" && mode != "2") return other;
  return {"a seccomp filter (Seccomp: " + mode + " in /proc/self/status)",
          "containers: a seccomp profile that allows io_uring_setup, io_uring_enter and "
          "io_uring_register (docker run --security-opt seccomp=FILE)"};
}

Cause denied(const Machine& machine) {
  const auto disabled = number_of(machine.read, "/proc/sys/kernel/io_uring_disabled");
  if (disabled.value_or(0) >= 2)
    return {"kernel.io_uring_disabled=2", "sysctl -w kernel.io_uring_disabled=0"};
  if (disabled == 1 && !has_capability(machine.read, kSysAdmin)) {
    return {fmt::format("kernel.io_uring_disabled=1, and we are not in kernel.io_uring_group={}",
                        first_line_of(machine.read, "/proc/sys/kernel/io_uring_group")),
            "put the user into that group, or sysctl -w kernel.io_uring_disabled=0"};
  }
  return filter_or(machine, {"neither kernel.io_uring_disabled nor seccomp: a security module?",
                             "look at the log of SELinux or AppArmor (`dmesg`)"});
}

// Many kernels, old and new, count rings as locked memory of the user.
Cause no_memory(const Machine& machine) {
  const auto locked = limit_of(machine.read, "Max locked memory");
  if (locked && locked->soft != kNoLimit && !has_capability(machine.read, kIpcLock)) {
    return {fmt::format("RLIMIT_MEMLOCK is {} for all rings of this user", in_bytes(locked->soft)),
            "ulimit -l, LimitMEMLOCK= in a systemd unit; or lower RAMIE_URING_ENTRIES"};
  }
  return {"there is no memory",
          "look at the memory limit of the cgroup; or lower RAMIE_URING_ENTRIES"};
}

Cause cause_of(const Machine& machine) {
  const std::error_code& refusal = machine.ring.refusal;
  if (refusal == ramie::errc::unsupported)
    return {"the kernel's io_uring lacks what Ramie needs", "it came with Linux 5.17"};
  switch (refusal.value()) {
    case EPERM:
    case EACCES: return denied(machine);
    case ENOSYS:
      return filter_or(machine, {"the kernel is built without it, or is a sandbox like gVisor",
                                 "a kernel with CONFIG_IO_URING"});
    case ENOMEM: return no_memory(machine);
    case EMFILE:
    case ENFILE: return {"no descriptor is left", "ulimit -n"};
    default: return filter_or(machine, {"an old kernel, or a sandbox", "Linux 5.17 has it"});
  }
}

std::string_view mode_of(ramie::uring::RingMode mode) {
  return mode == ramie::uring::RingMode::cooperative
             ? "completions do not interrupt a worker"
             : "completions interrupt a worker, as before Linux 5.19";
}

void check_refusal(const Machine& machine, Report& report) {
  const ramie::runtime::Config& config = machine.environment.values;
  Cause cause = cause_of(machine);
  const std::error_code& refusal = machine.ring.refusal;
  const bool is_demanded = config.io == IoBackend::uring || config.fs == FileBackend::uring;
  const std::string fact = fmt::format("refused ({}): {}", refusal.message(), cause.why);
  if (is_demanded) {
    report.bad("io_uring",
               fmt::format("{}=uring builds no runtime here: {}",
                           config.io == IoBackend::uring ? "RAMIE_IO" : "RAMIE_FS", fact),
               cause.advice + "; or unset that variable");
  } else {
    report.note("io_uring", fact + "; threads do the file operations", std::move(cause.advice));
  }
}

// A ring that finds too little memory is made smaller.
void check_size(const Machine& machine, Report& report) {
  constexpr std::size_t kMost = 65'536;  // the kernel's limit
  const std::size_t wanted = std::min(kMost, machine.environment.values.uring_entries * 4UL);
  if (machine.ring.completions >= wanted) {
    report.ok("io_uring", fmt::format("it works; {}", mode_of(machine.ring.mode)));
    return;
  }
  Cause cause = no_memory(machine);
  report.note("io_uring",
              fmt::format("it works, with room for {} completions instead of {}: {}",
                          with_commas(machine.ring.completions), with_commas(wanted), cause.why),
              std::move(cause.advice));
}

void check_operations(const Machine& machine, Report& report) {
  if (machine.ring.opcodes.none()) {
    report.note("operations", "the kernel does not say which ones it has, so Ramie uses none",
                "a sandbox must allow io_uring_register");
    return;
  }
  std::string missing;
  std::string advice;
  for (const Operation& operation : kOperations) {
    if (machine.ring.opcodes[operation.opcode]) continue;
    missing += missing.empty() ? "missing: " : ", ";
    missing += operation.name;
    if (!advice.empty()) advice += "; ";
    advice += fmt::format("{} ({}): {}", operation.name, operation.since, operation.instead);
  }
  if (missing.empty()) {
    report.ok("operations", fmt::format("all {} of io_uring that Ramie uses", kOperations.size()));
  } else {
    report.note("operations", std::move(missing), std::move(advice));
  }
}

}  // namespace

void check_ring(const Machine& machine, Report& report) {
  if (machine.ring.refusal) {
    check_refusal(machine, report);
    return;
  }
  const ramie::runtime::Config& config = machine.environment.values;
  if (config.io == IoBackend::epoll && config.fs != FileBackend::uring) {
    report.note("io_uring", "it works, but RAMIE_IO=epoll keeps Ramie from it",
                "unset RAMIE_IO, except to compare");
  } else {
    check_size(machine, report);
  }
  check_operations(machine, report);
}

}  // namespace doctor
