// What `ramie doctor` says about limits, and about looking into programs.
#include <string>

#include "tests/tool/machine.hpp"

using namespace doctor_test;

TEST_CASE("Doctor: workers come from the mask, the quota and the environment") {
  Place place = healthy();
  CHECK_FINDING(place.about("cpus"), Kind::ok, "4 in the affinity mask, no quota", "");
  CHECK(has(place.about("cpus").fact, "workers: 4"));
  place.files["/sys/fs/cgroup/a/cpu.max"] = "150000 100000\n";
  CHECK_FINDING(place.about("cpus"), Kind::ok, "a cgroup's quota of 2; workers: 2", "");
  place.machine.environment.values.cpu_quota = false;
  CHECK_FINDING(place.about("cpus"), Kind::note, "workers: 4, so they wait for each other",
                "unset RAMIE_CPU_QUOTA");
  place.machine.environment.values.workers = 8;
  CHECK_FINDING(place.about("cpus"), Kind::note, "workers: 8, so they wait", "unset RAMIE_WORKERS");
  place.machine.environment.values.workers = 2;
  CHECK_FINDING(place.about("cpus"), Kind::ok, "workers: 2", "");
  place.machine.environment.values = {};
  place.files["/sys/fs/cgroup/a/cpu.max"] = "50000 100000\n";
  CHECK_FINDING(place.about("cpus"), Kind::note, "workers: 1", "RAMIE_WORKERS=2");
  place = healthy();
  place.files["/proc/self/cgroup"] = "4:cpu,cpuacct:/b\n";
  place.files["/proc/self/mountinfo"] =
      "34 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
  place.files["/sys/fs/cgroup/cpu/b/cpu.cfs_quota_us"] = "300000\n";
  place.files["/sys/fs/cgroup/cpu/b/cpu.cfs_period_us"] = "100000\n";
  CHECK_FINDING(place.about("cpus"), Kind::ok, "a cgroup's quota of 3; workers: 3", "");
}

TEST_CASE("Doctor: descriptors") {
  Place place = healthy();
  CHECK_FINDING(place.about("descriptors"), Kind::ok, "1,048,576", "");
  std::string& file = place.files["/proc/self/limits"];
  file = limits("unlimited unlimited");
  CHECK_FINDING(place.about("descriptors"), Kind::ok, "unlimited", "");
  file = limits("1024 524288");
  CHECK_FINDING(place.about("descriptors"), Kind::note, "1,024 (hard limit 524,288)",
                "LimitNOFILE=524288");
  file = limits("1024 unlimited");
  CHECK_FINDING(place.about("descriptors"), Kind::note, "hard limit unlimited",
                "ulimit -n 1048576");
  file = limits("1024 4096");
  CHECK_FINDING(place.about("descriptors"), Kind::note, "1,024", "raise the hard limit");
  file = limits("64 4096");
  CHECK_FINDING(place.about("descriptors"), Kind::bad, "64", "raise the hard limit");
  file = "garbage\nMax open files\nMax open files x y\n";
  CHECK_FINDING(place.about("unknown"), Kind::note, "descriptors", "mount /proc");
}

TEST_CASE("Doctor: threads are limited by user and by cgroup") {
  Place place = healthy();
  CHECK_FINDING(place.about("threads"), Kind::ok, "no pids.max of a cgroup, RLIMIT_NPROC is 63,304",
                "");
  place.files["/proc/self/limits"] = limits("1048576 1048576", "0 0", "200 200");
  CHECK_FINDING(place.about("threads"), Kind::note, "RLIMIT_NPROC is 200", "ulimit -u");
  place.files["/proc/self/status"] = "CapEff:\t000001ffffffffff\n";  // root
  CHECK_FINDING(place.about("threads"), Kind::ok, "from which this user is exempt", "");
  place.files["/sys/fs/cgroup/a/pids.max"] = "1000\n";
  place.files["/sys/fs/cgroup/a/pids.current"] = "400\n";
  CHECK_FINDING(place.about("threads"), Kind::ok, "pids.max leaves 600", "");
  place.files["/sys/fs/cgroup/pids.max"] = "max\n";
  CHECK_FINDING(place.about("threads"), Kind::ok, "pids.max leaves 600", "");
  place.files["/sys/fs/cgroup/a/pids.current"] = "500\n";
  CHECK_FINDING(place.about("threads"), Kind::note, "pids.max leaves 500", "TasksMax=");
  place.machine.environment.values.blocking_threads = 100;
  CHECK_FINDING(place.about("threads"), Kind::ok, "pids.max leaves 500", "");
  place.files["/sys/fs/cgroup/a/pids.current"] = "997\n";
  CHECK_FINDING(place.about("threads"), Kind::bad, "pids.max leaves 3", "TasksMax=");
  place.files["/sys/fs/cgroup/a/pids.current"] = "1001\n";
  CHECK_FINDING(place.about("threads"), Kind::bad, "pids.max leaves 0", "TasksMax=");
}

TEST_CASE("Doctor: memory limits of both versions of cgroups") {
  Place place = healthy();
  CHECK_FINDING(place.about("memory"), Kind::ok, "no memory limit", "");
  place.files["/sys/fs/cgroup/a/memory.max"] = "max\n";
  CHECK_FINDING(place.about("memory"), Kind::ok, "no memory limit", "");
  place.files["/sys/fs/cgroup/memory.max"] = "536870912\n";
  CHECK_FINDING(place.about("memory"), Kind::ok, "512 MiB, room for about 53,687", "");
  place.files["/sys/fs/cgroup/a/memory.max"] = "67108864\n";
  CHECK_FINDING(place.about("memory"), Kind::note, "64 MiB", "RAMIE_STACK_CACHE=8M");
  place.machine.environment.values.stack_cache = 8 << 20;
  CHECK_FINDING(place.about("memory"), Kind::ok, "64 MiB", "");
  place = healthy();
  place.files["/proc/self/cgroup"] = "9:memory:/m\n0::/a\n";
  place.files["/proc/self/mountinfo"] += "35 31 0:32 / /mem rw - cgroup cgroup rw,memory\n";
  place.files["/mem/memory.limit_in_bytes"] = "9223372036854771712\n";  // v1 for "no limit"
  CHECK_FINDING(place.about("memory"), Kind::ok, "no memory limit", "");
  place.files["/mem/m/memory.limit_in_bytes"] = "1073741824\n";
  CHECK_FINDING(place.about("memory"), Kind::ok, "1 GiB", "");
}

TEST_CASE("Doctor: address space, by RLIMIT_AS and by strict overcommit") {
  Place place = healthy();
  CHECK_FINDING(place.about("address space"), Kind::ok, "unlimited", "");
  place.files["/proc/self/limits"] =
      limits("1048576 1048576", "0 0", "63304 63304", "1310720000 unlimited");
  CHECK_FINDING(place.about("address space"), Kind::note, "at most 1,000 fibers", "ulimit -v");
  place.files["/proc/self/limits"] =
      limits("1048576 1048576", "0 0", "63304 63304", "131072000000 unlimited");
  CHECK_FINDING(place.about("address space"), Kind::ok, "at most 100,000 fibers", "");
  place.files["/proc/self/limits"] =
      limits("1048576 1048576", "0 0", "63304 63304", "1310000000 unlimited");
  CHECK_FINDING(place.about("address space"), Kind::bad, "at most 999 fibers", "ulimit -v");

  CHECK_FINDING(place.about("overcommit"), Kind::ok, "vm.overcommit_memory=0", "");
  place.files["/proc/sys/vm/overcommit_memory"] = "2\n";
  place.files["/proc/meminfo"] =
      "MemTotal:       16000000 kB\nCommitLimit:     3280000 kB\nCommitted_AS:    2000000 kB\n";
  CHECK_FINDING(place.about("overcommit"), Kind::note, "1.25 MiB; there is room for 1,000 fibers",
                "sysctl -w vm.overcommit_memory=0");
  place.files["/proc/meminfo"] = "CommitLimit:     130000000 kB\nCommitted_AS:    2000000 kB\n";
  CHECK_FINDING(place.about("overcommit"), Kind::ok, "100,000 fibers", "");
  place.files["/proc/meminfo"] = "CommitLimit:     1000 kB\nCommitted_AS:    2000000 kB\n";
  CHECK_FINDING(place.about("overcommit"), Kind::bad, "room for 0 fibers", "sysctl");
}

TEST_CASE("Doctor: the queue of new connections") {
  Place place = healthy();
  CHECK_FINDING(place.about("backlog"), Kind::ok,
                "net.core.somaxconn=4096; TcpListener asks for "
                "1024",
                "");
  place.files["/proc/sys/net/core/somaxconn"] = "128\n";
  CHECK_FINDING(place.about("backlog"), Kind::note, "net.core.somaxconn=128",
                "sysctl -w net.core.somaxconn=1024");
}

TEST_CASE("Doctor: gdb") {
  Place place = healthy();
  std::string& scope = place.files["/proc/sys/kernel/yama/ptrace_scope"];
  CHECK_FINDING(place.about("gdb"), Kind::ok, "can attach", "");
  scope = "1\n";
  CHECK_FINDING(place.about("gdb"), Kind::note, "only to programs that it has started", "sudo gdb");
  scope = "2\n";
  CHECK_FINDING(place.about("gdb"), Kind::note, "only root", "sudo gdb");
  scope = "3\n";
  CHECK_FINDING(place.about("gdb"), Kind::note, "no program may attach", "kill -QUIT");
  place.files["/proc/self/status"] = "CapEff:\t0000000000080000\n";  // CAP_SYS_PTRACE
  CHECK_FINDING(place.about("gdb"), Kind::note, "no program may attach", "kill -QUIT");
  scope = "2\n";
  CHECK_FINDING(place.about("gdb"), Kind::ok, "can attach", "");
  place.files.erase("/proc/sys/kernel/yama/ptrace_scope");
  place.files.erase("/proc/self/status");
  CHECK_FINDING(place.about("gdb"), Kind::ok, "no kernel.yama.ptrace_scope", "");
}

TEST_CASE("Doctor: core files") {
  Place place = healthy();
  CHECK_FINDING(place.about("core files"), Kind::ok, "writes `core`", "");
  place.files["/proc/self/limits"] = limits("1048576 1048576", "0 unlimited");
  CHECK_FINDING(place.about("core files"), Kind::note, "RLIMIT_CORE is 0", "ulimit -c unlimited");
  std::string& pattern = place.files["/proc/sys/kernel/core_pattern"];
  pattern = "|/usr/share/apport/apport -p%p\n";
  CHECK_FINDING(place.about("core files"), Kind::ok, "goes to `/usr/share/apport/apport -p%p`", "");
  pattern = "|/usr/lib/systemd/systemd-coredump %P\n";
  CHECK_FINDING(place.about("core files"), Kind::ok, "coredumpctl", "");
}

TEST_CASE("Doctor: without /proc and /sys one line names what is unknown") {
  Place place = healthy();
  place.files.clear();
  const Finding unknown = place.about("unknown");
  CHECK((unknown.kind == Kind::note));
  for (const char* subject : {"mappings", "descriptors", "threads", "address space", "overcommit",
                              "backlog", "core files"}) {
    INFO(subject);
    CHECK(has(unknown.fact, subject));
  }
  const std::size_t first = unknown.fact.find("/proc/self/limits");
  CHECK(first != std::string::npos);
  CHECK(unknown.fact.find("/proc/self/limits", first + 1) == std::string::npos);
  CHECK_FALSE(doctor::has_bad(place.examine()));
}
