// What limits a server: CPUs, descriptors, threads, memory, the queue of new connections.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <ramie/net/tcp.hpp>

#include "runtime/cpus.hpp"
#include "tools/doctor/checks.hpp"
#include "tools/doctor/proc.hpp"

namespace doctor {
namespace {

namespace runtime = ramie::runtime;
using ramie::sched::StackPool;
using runtime::CgroupVersion;

std::uint64_t address_space_of_a_stack(const Machine& machine) {
  return StackPool::kGuard + machine.environment.values.stack_size;
}

unsigned workers_of(const Machine& machine) {
  const runtime::Config& config = machine.environment.values;
  if (config.workers != 0) return config.workers;
  return runtime::worker_count(config.cpu_quota, machine.cpus, machine.read);
}

void check_cpus(const Machine& machine, Report& report) {
  const runtime::Config& config = machine.environment.values;
  const auto quota = runtime::cgroup_quota(machine.read);
  const unsigned usable = std::min(machine.cpus, quota.value_or(machine.cpus));
  const unsigned workers = workers_of(machine);
  const std::string fact = fmt::format(
      "{} in the affinity mask, {}; workers: {}", machine.cpus,
      quota ? fmt::format("a cgroup's quota of {}", *quota) : "no quota of a cgroup", workers);
  if (workers > usable) {
    report.note("cpus", fmt::format("{}, so they wait for each other", fact),
                config.workers != 0 ? "unset RAMIE_WORKERS" : "unset RAMIE_CPU_QUOTA");
  } else if (workers == 1) {
    report.note("cpus", fact,
                "with one worker, a fiber that computes delays all others; two CPUs, or "
                "RAMIE_WORKERS=2, let another one watch the sockets");
  } else {
    report.ok("cpus", fact);
  }
}

std::string limit_text(std::uint64_t limit) {
  return limit == kNoLimit ? "unlimited" : with_commas(limit);
}

void check_descriptors(const Machine& machine, Report& report) {
  constexpr std::uint64_t kFew = 256;
  constexpr std::uint64_t kMany = 10'000;
  const auto limit = limit_of(machine.read, "Max open files");
  if (!limit) {
    report.unknown("descriptors", "/proc/self/limits");
    return;
  }
  std::string fact = fmt::format("RLIMIT_NOFILE is {} (hard limit {}), one for each connection",
                                 limit_text(limit->soft), limit_text(limit->hard));
  const std::uint64_t wanted = std::min<std::uint64_t>(limit->hard, 1'048'576);
  std::string advice =
      limit->hard > limit->soft && limit->hard >= kMany
          ? fmt::format("ulimit -n {0}; LimitNOFILE={0} in a systemd unit", wanted)
          : "raise the hard limit: LimitNOFILE=1048576 in a systemd unit, nofile in "
            "/etc/security/limits.conf, docker run --ulimit nofile=1048576";
  if (limit->soft < kFew) report.bad("descriptors", std::move(fact), std::move(advice));
  else if (limit->soft < kMany) report.note("descriptors", std::move(fact), std::move(advice));
  else report.ok("descriptors", std::move(fact));
}

void keep_less(std::optional<std::uint64_t>& least, std::optional<std::uint64_t> number) {
  if (number) least = std::min(least.value_or(*number), *number);
}

// How many more threads the cgroups allow.
std::optional<std::uint64_t> threads_left(const FileReader& read) {
  std::optional<std::uint64_t> least;
  runtime::visit_cgroup(read, "pids", [&](const std::string& directory, CgroupVersion) {
    const auto most = number_of(read, directory + "/pids.max");
    const std::uint64_t used = number_of(read, directory + "/pids.current").value_or(0);
    if (most) keep_less(least, *most - std::min(*most, used));
  });
  return least;
}

void check_threads(const Machine& machine, Report& report) {
  const bool is_exempt =
      has_capability(machine.read, kSysAdmin) || has_capability(machine.read, kSysResource);
  const auto limit = limit_of(machine.read, "Max processes");
  if (!limit) report.unknown("threads", "/proc/self/limits");
  std::optional<std::uint64_t> left = threads_left(machine.read);
  const std::string group =
      left ? "pids.max leaves " + with_commas(*left) : "no pids.max of a cgroup";
  std::string user = "no RLIMIT_NPROC";
  if (limit && limit->soft != kNoLimit) {
    user = fmt::format("RLIMIT_NPROC is {}{}", with_commas(limit->soft),
                       is_exempt ? ", from which this user is exempt" : "");
    if (!is_exempt) keep_less(left, limit->soft);
  }
  const std::uint64_t workers = workers_of(machine);
  const std::uint64_t pool = machine.environment.values.blocking_threads;
  const std::string fact = fmt::format(
      "{}, {}; Ramie starts up to {} workers and {} threads of the "
      "blocking pool",
      group, user, workers, pool);
  const char* const advice =
      "TasksMax= in a systemd unit, docker run --pids-limit, ulimit -u; or lower "
      "RAMIE_BLOCKING_THREADS";
  if (left.value_or(kNoLimit) < workers) report.bad("threads", fact, advice);
  else if (left.value_or(kNoLimit) < workers + pool) report.note("threads", fact, advice);
  else report.ok("threads", fact);
}

std::optional<std::uint64_t> memory_limit(const FileReader& read) {
  constexpr std::uint64_t kNone = std::uint64_t{1} << 60U;  // v1 writes a huge number
  std::optional<std::uint64_t> least;
  runtime::visit_cgroup(read, "memory", [&](const std::string& directory, CgroupVersion version) {
    const auto most = number_of(
        read,
        directory + (version == CgroupVersion::v2 ? "/memory.max" : "/memory.limit_in_bytes"));
    if (most && *most < kNone) keep_less(least, most);
  });
  return least;
}

void check_memory(const Machine& machine, Report& report) {
  constexpr std::uint64_t kParked = 10'000;  // bytes of a parked fiber, with its stack
  const std::uint64_t cache = machine.environment.values.stack_cache;
  const auto limit = memory_limit(machine.read);
  if (!limit) {
    report.ok("memory", "no memory limit of a cgroup");
    return;
  }
  std::string fact = fmt::format("the cgroup's limit is {}, room for about {} parked fibers",
                                 in_bytes(*limit), with_commas(*limit / kParked));
  if (*limit / 2 < cache) {
    report.note("memory", std::move(fact),
                fmt::format("the cache of free stacks alone may hold {}: set RAMIE_STACK_CACHE={}M",
                            in_bytes(cache), std::max<std::uint64_t>(*limit >> 23U, 1)));
  } else {
    report.ok("memory", std::move(fact));
  }
}

void check_address_space(const Machine& machine, Report& report) {
  const auto limit = limit_of(machine.read, "Max address space");
  if (!limit) {
    report.unknown("address space", "/proc/self/limits");
    return;
  }
  if (limit->soft == kNoLimit) {
    report.ok("address space", "RLIMIT_AS is unlimited");
    return;
  }
  const std::uint64_t one = address_space_of_a_stack(machine);
  const std::uint64_t fibers = limit->soft / one;
  report.room_for(fibers, "address space",
                  fmt::format("RLIMIT_AS is {}: at most {} fibers, since a stack takes {}",
                              in_bytes(limit->soft), with_commas(fibers), in_bytes(one)),
                  "ulimit -v unlimited, no LimitAS=");
}

// Mode 2 counts address space as memory, for a mapping with MAP_NORESERVE, too.
void check_overcommit(const Machine& machine, Report& report) {
  constexpr std::string_view kPath = "/proc/sys/vm/overcommit_memory";
  const auto mode = number_of(machine.read, std::string(kPath));
  if (!mode) {
    report.unknown("overcommit", kPath);
    return;
  }
  if (*mode != 2) {
    report.ok("overcommit",
              fmt::format("vm.overcommit_memory={}: only the pages that a stack touches count as "
                          "memory",
                          *mode));
    return;
  }
  const auto kilobytes = [&](std::string_view name) {
    const auto text = field_of(machine.read, "/proc/meminfo", name);
    return text ? number_in(*text).value_or(0) : 0;
  };
  const std::uint64_t most = kilobytes("CommitLimit");
  const std::uint64_t left = most - std::min(most, kilobytes("Committed_AS"));
  const std::uint64_t one = address_space_of_a_stack(machine);
  const std::uint64_t fibers = left * 1024 / one;
  report.room_for(fibers, "overcommit",
                  fmt::format("vm.overcommit_memory=2: a stack counts with its whole address "
                              "space, {}; there is room for {} fibers",
                              in_bytes(one), with_commas(fibers)),
                  "sysctl -w vm.overcommit_memory=0, or a larger vm.overcommit_ratio");
}

void check_backlog(const Machine& machine, Report& report) {
  constexpr std::string_view kPath = "/proc/sys/net/core/somaxconn";
  const auto most = number_of(machine.read, std::string(kPath));
  if (!most) {
    report.unknown("backlog", kPath);
    return;
  }
  const auto usual = static_cast<std::uint64_t>(ramie::net::ListenOptions{}.backlog);
  std::string fact = fmt::format("net.core.somaxconn={}; TcpListener asks for {}", *most, usual);
  if (*most >= usual) {
    report.ok("backlog", std::move(fact));
  } else {
    report.note("backlog", fact + ", so a burst of connections is cut off earlier",
                fmt::format("sysctl -w net.core.somaxconn={}", usual));
  }
}

}  // namespace

void check_limits(const Machine& machine, Report& report) {
  check_cpus(machine, report);
  check_descriptors(machine, report);
  check_threads(machine, report);
  check_memory(machine, report);
  check_address_space(machine, report);
  check_overcommit(machine, report);
  check_backlog(machine, report);
}

}  // namespace doctor
