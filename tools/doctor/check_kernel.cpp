// The kernel: its version, and what it lets the scheduler use.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "tools/doctor/checks.hpp"
#include "tools/doctor/proc.hpp"

namespace doctor {
namespace {

using ramie::runtime::StackGuard;
using ramie::sched::GuardMethod;
using ramie::sched::StackPool;

struct Since {
  KernelVersion version;
  std::string_view what;
};

// Each has a fallback.
constexpr Since kFeatures[] = {
    {{5, 11}, "timers finer than 1 ms"},
    {{5, 12}, "opening a cached file in the fiber"},
    {{5, 17}, "io_uring as Ramie needs it"},
    {{6, 0}, "zero-copy sends"},
    {{6, 8}, "metadata of a cached file in the fiber"},
    {{6, 13}, "stack guards that take no mapping"},
};
constexpr KernelVersion kTimers = kFeatures[0].version;
constexpr KernelVersion kGuards = kFeatures[5].version;

// A machine whose version is unknown counts as a new one: the probes say what it lacks.
bool is_older(const Machine& machine, KernelVersion wanted) {
  const auto version = kernel_version(machine.kernel);
  return version && *version < wanted;
}

void check_version(const Machine& machine, Report& report) {
  if (!kernel_version(machine.kernel)) {
    report.unknown("kernel", "the kernel's version");
    return;
  }
  std::string lacks;
  for (const Since& feature : kFeatures) {
    if (!is_older(machine, feature.version)) continue;
    if (!lacks.empty()) lacks += ", ";
    lacks += fmt::format("{} ({}.{})", feature.what, feature.version.major, feature.version.minor);
  }
  if (lacks.empty()) {
    report.ok("kernel", "Linux " + machine.kernel);
  } else {
    report.note("kernel", fmt::format("Linux {} is older than {}", machine.kernel, lacks),
                "Ramie does without; Linux 6.13 has all of it");
  }
}

void check_timers(const Machine& machine, Report& report) {
  if (!machine.has_fine_timeouts) {
    report.bad("timers", "epoll is denied, so no runtime can be built",
               "a sandbox must allow epoll_create1, epoll_ctl, epoll_wait and eventfd2");
  } else if (*machine.has_fine_timeouts) {
    report.ok("timers", "an idle worker can sleep less than a millisecond (epoll_pwait2)");
  } else if (is_older(machine, kTimers)) {
    report.note("timers", "an idle worker sleeps whole milliseconds: no epoll_pwait2",
                "it came with Linux 5.11");
  } else {
    report.note("timers", "an idle worker sleeps whole milliseconds: epoll_pwait2 is denied",
                "a sandbox must allow it");
  }
}

void check_guards(const Machine& machine, Report& report) {
  const bool is_wanted = machine.environment.values.stack_guard == StackGuard::mprotect;
  if (machine.stack.refusal) {
    report.bad("guards", fmt::format("no stack for a fiber: {}", machine.stack.refusal.message()),
               "look at the memory limit, `ulimit -v`, vm.overcommit_memory, and at "
               "RAMIE_STACK_GUARD and RAMIE_STACK_SIZE");
  } else if (machine.stack.guard == GuardMethod::madvise) {
    report.ok("guards", "stack guards by MADV_GUARD_INSTALL, which take no mapping");
  } else if (machine.stack.guard == GuardMethod::off) {
    report.note("guards", "RAMIE_STACK_GUARD=off: a stack that overflows overwrites other memory",
                "unset it, except to measure");
  } else if (is_wanted) {
    report.note("guards", "RAMIE_STACK_GUARD=mprotect: a guard takes two mappings", "unset it");
  } else if (is_older(machine, kGuards)) {
    report.note("guards",
                "stack guards by mprotect, two mappings each: the kernel is older than 6.13",
                "Linux 6.13 makes guards without mappings");
  } else {
    report.note("guards",
                "stack guards by mprotect, two mappings each: MADV_GUARD_INSTALL is refused",
                "a sandbox denies it, or mlockall() has locked the memory");
  }
}

// How many fibers can have a stack, as far as mappings go.
void check_mappings(const Machine& machine, Report& report) {
  const auto maps = number_of(machine.read, "/proc/sys/vm/max_map_count");
  if (!maps) {
    report.unknown("mappings", "/proc/sys/vm/max_map_count");
    return;
  }
  const std::string setting = "vm.max_map_count=" + std::to_string(*maps);
  if (machine.stack.guard != GuardMethod::mprotect) {
    report.ok("mappings", setting + ", which does not limit fibers");
    return;
  }
  const auto most = static_cast<std::uint64_t>(StackPool::most_protected(
      static_cast<std::int64_t>(std::min<std::uint64_t>(*maps, INT32_MAX))));
  report.room_for(most, "mappings",
                  fmt::format("{} allows {} fibers with a stack", setting, with_commas(most)),
                  "5 mappings for each fiber: sysctl -w vm.max_map_count=5000000 for a million");
}

void check_membarrier(const Machine& machine, Report& report) {
  if (!machine.membarrier) {
    report.ok("membarrier", "private and expedited; this version of Ramie does not use it");
  } else {
    report.note("membarrier",
                fmt::format("refused ({}); this version of Ramie does not use it",
                            machine.membarrier.message()),
                "a later version may: a sandbox should allow it");
  }
}

void check_clock(const Machine& machine, Report& report) {
  constexpr std::string_view kFolder = "/sys/devices/system/clocksource/clocksource0/";
  constexpr std::chrono::nanoseconds kSlow(200);
  const auto first_line = [&](std::string_view file) {
    return first_line_of(machine.read, std::string(kFolder).append(file));
  };
  std::string name = first_line("current_clocksource");
  if (name.empty()) name = "unknown source";
  std::string fact = fmt::format("{}, {} ns a reading", name, machine.clock.count());
  if (machine.clock < kSlow) {
    report.ok("clock", std::move(fact));
  } else if (first_line("available_clocksource").find("tsc") != std::string::npos) {
    report.note("clock", fact + ": a reading is a system call",
                "`dmesg | grep -i clocksource` says why it is not tsc; if the processor's counter "
                "is sound: echo tsc > " +
                    std::string(kFolder) + "current_clocksource");
  } else {
    report.note("clock", fact + ": a reading is a system call",
                "Ramie reads it at each wait with a timeout; look for a virtual machine with a "
                "better one");
  }
}

// The pool marks its slabs with MADV_NOHUGEPAGE; stacks of another size only the kernel exempts
// (since 6.7, by MAP_STACK).
void check_huge_pages(const Machine& machine, Report& report) {
  const auto text = machine.read("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!text) {
    report.ok("huge pages", "there are no transparent huge pages");
  } else if (text->find("[always]") == std::string::npos) {
    report.ok("huge pages", "only where a program asks for them; stacks of fibers do not");
  } else if (!machine.stack.may_be_huge) {
    report.ok("huge pages", "always, but not for stacks of fibers");
  } else {
    report.note("huge pages",
                "always: the first page of a stack may take 2 MiB, if a fiber asks for a "
                "stack_size of its own of 2 MiB or more; other stacks do not",
                "Linux 6.7 exempts all stacks; or echo madvise > "
                "/sys/kernel/mm/transparent_hugepage/enabled");
  }
}

}  // namespace

void check_kernel(const Machine& machine, Report& report) {
  check_version(machine, report);
  check_timers(machine, report);
  check_clock(machine, report);
  check_guards(machine, report);
  check_mappings(machine, report);
  check_huge_pages(machine, report);
  check_membarrier(machine, report);
}

}  // namespace doctor
