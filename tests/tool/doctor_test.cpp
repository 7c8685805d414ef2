// What `ramie doctor` says about Ramie, the kernel and io_uring, for every kind of machine.
#include <cerrno>
#include <string>

#include <ramie/error.hpp>

#include "tests/tool/machine.hpp"
#include "tools/doctor/proc.hpp"
#include "uring/opcodes.hpp"

using namespace doctor_test;
using ramie::runtime::FileBackend;
using ramie::runtime::IoBackend;
using ramie::runtime::StackGuard;
using ramie::sched::GuardMethod;

TEST_CASE("Doctor: on a machine where all is well, every finding is ok") {
  const auto findings = healthy().examine();
  INFO(doctor::as_text(findings));
  CHECK(findings.size() == 20);
  for (const Finding& finding : findings) {
    INFO(finding.subject);
    CHECK((finding.kind == Kind::ok));
    CHECK(finding.advice.empty());
  }
  CHECK_FALSE(doctor::has_bad(findings));
}

TEST_CASE("Doctor: version, compiler and assertions") {
  Place place = healthy();
  CHECK_FINDING(place.about("ramie"), Kind::ok, "version 1.2.3, compiled by GCC 12.2.0", "");
  place.machine.build.has_assertions = true;
  CHECK_FINDING(place.about("ramie"), Kind::note, "assertions", "--buildtype");
}

TEST_CASE("Doctor: an error in the environment is a note, and bad if it is fatal") {
  Place place = healthy();
  CHECK_FINDING(place.about("environment"), Kind::ok, "no RAMIE_* variable", "");
  ramie::runtime::EnvResult& environment = place.machine.environment;
  environment.set = bit(ramie::runtime::Field::workers) | bit(ramie::runtime::Field::io);
  CHECK_FINDING(place.about("environment"), Kind::ok, "that are set: 2", "");
  environment.messages = {"RAMIE_X: no such variable, ignored"};
  CHECK_FINDING(place.about("environment"), Kind::note, "RAMIE_X: no such variable", "correct");
  environment.fatal = true;
  CHECK_FINDING(place.about("environment"), Kind::bad, "RAMIE_X: no such variable", "RAMIE_STRICT");
  environment = {};
  environment.values.chaos = 7;
  environment.messages = {"RAMIE_Y: no such variable, ignored"};
  const auto findings = place.examine();
  CHECK(std::count_if(findings.begin(), findings.end(), [](const Finding& finding) {
          return finding.subject == "environment" && finding.kind == Kind::note;
        }) == 2);
}

TEST_CASE("Doctor: what an older kernel lacks") {
  Place place = healthy();
  CHECK_FINDING(place.about("kernel"), Kind::ok, "Linux 6.18.44-generic", "");
  place.machine.kernel = "6.13.0";
  CHECK_FINDING(place.about("kernel"), Kind::ok, "Linux 6.13.0", "");
  place.machine.kernel = "6.12.9";
  CHECK_FINDING(place.about("kernel"), Kind::note, "stack guards that take no mapping (6.13)",
                "6.13");
  CHECK_FALSE(has(place.about("kernel").fact, "6.8"));
  place.machine.kernel = "5.10.0-30-amd64";
  const Finding old = place.about("kernel");
  for (const char* part : {"(5.11)", "(5.12)", "(5.17)", "(6.0)", "(6.8)", "(6.13)"})
    CHECK(has(old.fact, part));
  place.machine.kernel = "";
  CHECK_FINDING(place.about("unknown"), Kind::note, "kernel", "mount /proc");
}

TEST_CASE("Doctor: timers are fine, or whole milliseconds with the reason") {
  Place place = healthy();
  CHECK_FINDING(place.about("timers"), Kind::ok, "epoll_pwait2", "");
  place.machine.has_fine_timeouts = false;
  CHECK_FINDING(place.about("timers"), Kind::note, "epoll_pwait2 is denied", "sandbox");
  place.machine.kernel = "5.10.1";
  CHECK_FINDING(place.about("timers"), Kind::note, "whole milliseconds: no epoll_pwait2", "5.11");
  place.machine.has_fine_timeouts.reset();
  CHECK_FINDING(place.about("timers"), Kind::bad, "epoll is denied", "epoll_create1");
}

TEST_CASE("Doctor: how stacks are guarded, and why") {
  Place place = healthy();
  CHECK_FINDING(place.about("guards"), Kind::ok, "MADV_GUARD_INSTALL", "");
  place.machine.stack.guard = GuardMethod::mprotect;
  CHECK_FINDING(place.about("guards"), Kind::note, "MADV_GUARD_INSTALL is refused", "mlockall");
  place.machine.kernel = "6.12.0";
  CHECK_FINDING(place.about("guards"), Kind::note, "older than 6.13", "6.13");
  place.machine.environment.values.stack_guard = StackGuard::mprotect;
  CHECK_FINDING(place.about("guards"), Kind::note, "RAMIE_STACK_GUARD=mprotect", "unset");
  place.machine.stack.guard = GuardMethod::off;
  CHECK_FINDING(place.about("guards"), Kind::note, "RAMIE_STACK_GUARD=off", "unset");
  place.machine.stack.refusal = code(ENOMEM);
  CHECK_FINDING(place.about("guards"), Kind::bad, "no stack for a fiber: Cannot allocate memory",
                "ulimit -v");
}

TEST_CASE("Doctor: mappings limit fibers only where guards take them") {
  Place place = healthy();
  CHECK_FINDING(place.about("mappings"), Kind::ok, "65530, which does not limit fibers", "");
  place.machine.stack.guard = GuardMethod::mprotect;
  CHECK_FINDING(place.about("mappings"), Kind::note, "65530 allows 14,744 fibers",
                "vm.max_map_count=5000000");
  place.files["/proc/sys/vm/max_map_count"] = "5000000\n";
  CHECK_FINDING(place.about("mappings"), Kind::ok, "1,125,000 fibers", "");
  place.files["/proc/sys/vm/max_map_count"] = "4000\n";
  CHECK_FINDING(place.about("mappings"), Kind::bad, "allows 900 fibers", "sysctl");
  place.files.erase("/proc/sys/vm/max_map_count");
  CHECK_FINDING(place.about("unknown"), Kind::note, "about mappings: cannot read /proc/sys/vm",
                "mount /proc");
}

TEST_CASE("Doctor: a clock is judged by what a reading costs") {
  Place place = healthy();
  CHECK_FINDING(place.about("clock"), Kind::ok, "tsc, 25 ns", "");
  place.machine.clock = std::chrono::nanoseconds(900);
  place.files["/sys/devices/system/clocksource/clocksource0/current_clocksource"] = "hpet\n";
  CHECK_FINDING(place.about("clock"), Kind::note, "hpet, 900 ns", "dmesg");
  place.files["/sys/devices/system/clocksource/clocksource0/available_clocksource"] = "hpet\n";
  CHECK_FINDING(place.about("clock"), Kind::note, "hpet, 900 ns", "virtual machine");
  place.files.erase("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  place.machine.clock = std::chrono::nanoseconds(40);
  CHECK_FINDING(place.about("clock"), Kind::ok, "unknown source, 40 ns", "");
}

TEST_CASE("Doctor: huge pages matter only to large stacks of older kernels") {
  Place place = healthy();
  const std::string path = "/sys/kernel/mm/transparent_hugepage/enabled";
  CHECK_FINDING(place.about("huge pages"), Kind::ok, "only where a program asks", "");
  place.machine.stack.may_be_huge = true;
  CHECK_FINDING(place.about("huge pages"), Kind::ok, "only where a program asks", "");
  place.files[path] = "[always] madvise never\n";
  CHECK_FINDING(place.about("huge pages"), Kind::note, "2 MiB", "6.7");
  place.machine.stack.may_be_huge = false;
  CHECK_FINDING(place.about("huge pages"), Kind::ok, "not for stacks", "");
  place.files.erase(path);
  CHECK_FINDING(place.about("huge pages"), Kind::ok, "no transparent huge pages", "");
}

TEST_CASE("Doctor: the flags of a mapping say whether it may have huge pages") {
  const std::string maps =
      "7f0000200000-7f0000300000 rw-p 00000000 00:00 0 \nSize: 1024 kB\nVmFlags: rd wr mr nr \n"
      "7f0000300000-7f0000400000 rw-p 00000000 00:00 0 \nSize: 1024 kB\nVmFlags: rd wr nr nh \n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nVmFlags: ex \n";
  const auto read = [&](const std::string& path) {
    return path == "/proc/self/smaps" ? std::optional(maps) : std::nullopt;
  };
  CHECK(doctor::may_have_huge_pages(read, 0x7f0000200000));
  CHECK(doctor::may_have_huge_pages(read, 0x7f00002fffff));
  CHECK_FALSE(doctor::may_have_huge_pages(read, 0x7f0000300000));
  CHECK_FALSE(doctor::may_have_huge_pages(read, 0x7f0000400000));
  CHECK_FALSE(doctor::may_have_huge_pages([](const std::string&) { return std::nullopt; }, 1));
}

TEST_CASE("Doctor: membarrier") {
  Place place = healthy();
  CHECK_FINDING(place.about("membarrier"), Kind::ok, "private and expedited", "");
  place.machine.membarrier = code(EPERM);
  CHECK_FINDING(place.about("membarrier"), Kind::note, "refused (Operation not permitted)",
                "sandbox");
}

TEST_CASE("Doctor: io_uring works, or the environment keeps Ramie from it") {
  Place place = healthy();
  CHECK_FINDING(place.about("io_uring"), Kind::ok, "do not interrupt", "");
  place.machine.ring.mode = ramie::uring::RingMode::plain;
  CHECK_FINDING(place.about("io_uring"), Kind::ok, "5.19", "");
  place.machine.environment.values.io = IoBackend::epoll;
  CHECK_FINDING(place.about("io_uring"), Kind::note, "RAMIE_IO=epoll", "unset");
  place.machine.environment.values.fs = FileBackend::uring;
  CHECK_FINDING(place.about("io_uring"), Kind::ok, "it works", "");
}

TEST_CASE("Doctor: why io_uring is refused with EPERM") {
  Place place = healthy();
  place.machine.ring.refusal = code(EPERM);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "a security module?", "dmesg");
  place.files["/proc/self/status"] = "Name:\tx\nCapEff:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n";
  CHECK_FINDING(place.about("io_uring"), Kind::note,
                "refused (Operation not permitted): a seccomp filter (Seccomp: 2",
                "--security-opt seccomp=");
  place.files["/proc/sys/kernel/io_uring_disabled"] = "2\n";
  CHECK_FINDING(place.about("io_uring"), Kind::note, "kernel.io_uring_disabled=2",
                "sysctl -w kernel.io_uring_disabled=0");
  place.files["/proc/sys/kernel/io_uring_disabled"] = "1\n";
  place.files["/proc/sys/kernel/io_uring_group"] = "77\n";
  CHECK_FINDING(place.about("io_uring"), Kind::note, "kernel.io_uring_group=77", "group");
  place.files["/proc/sys/kernel/io_uring_group"] = "";
  CHECK_FINDING(place.about("io_uring"), Kind::note, "kernel.io_uring_group=;", "group");
  // The group does not matter to a process with CAP_SYS_ADMIN.
  place.files["/proc/self/status"] = "CapEff:\t000001ffffffffff\nSeccomp:\t2\n";
  CHECK_FINDING(place.about("io_uring"), Kind::note, "a seccomp filter", "seccomp");
  // There is no such file before Linux 6.6.
  place.files.erase("/proc/sys/kernel/io_uring_disabled");
  CHECK_FINDING(place.about("io_uring"), Kind::note, "a seccomp filter", "seccomp");
}

TEST_CASE("Doctor: why io_uring is refused with another error") {
  Place place = healthy();
  place.machine.ring.refusal = code(ENOSYS);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "built without it", "CONFIG_IO_URING");
  place.machine.ring.refusal = ramie::errc::unsupported;
  CHECK_FINDING(place.about("io_uring"), Kind::note, "lacks what Ramie needs", "5.17");
  place.machine.ring.refusal = code(EMFILE);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "no descriptor", "ulimit -n");
  place.machine.ring.refusal = code(EINVAL);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "an old kernel", "5.17");
  place.machine.ring.refusal = code(ENOMEM);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "RLIMIT_MEMLOCK is 8 MiB", "ulimit -l");
  place.files["/proc/self/status"] = "CapEff:\t0000000000004000\n";  // CAP_IPC_LOCK
  CHECK_FINDING(place.about("io_uring"), Kind::note, "there is no memory", "cgroup");
  place.files["/proc/self/status"] = "Seccomp:\t2\n";
  place.machine.ring.refusal = code(ENOSYS);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "a seccomp filter", "seccomp");
}

TEST_CASE("Doctor: rings that locked memory makes smaller") {
  Place place = healthy();
  place.machine.ring.completions = 64;
  CHECK_FINDING(place.about("io_uring"), Kind::note,
                "room for 64 completions instead of 1,024: RLIMIT_MEMLOCK is 8 MiB", "ulimit -l");
  place.machine.environment.values.uring_entries = 16;
  CHECK_FINDING(place.about("io_uring"), Kind::ok, "it works", "");
  place.machine.environment.values.uring_entries = 32'768;
  place.machine.ring.completions = 65'536;
  CHECK_FINDING(place.about("io_uring"), Kind::ok, "it works", "");
}

TEST_CASE("Doctor: a refused io_uring is bad where the environment demands it") {
  Place place = healthy();
  place.machine.ring.refusal = code(EPERM);
  CHECK_FINDING(place.about("io_uring"), Kind::note, "threads do the file operations", "dmesg");
  place.machine.environment.values.io = IoBackend::uring;
  CHECK_FINDING(place.about("io_uring"), Kind::bad, "RAMIE_IO=uring builds no runtime", "unset");
  place.machine.environment.values.io = IoBackend::automatic;
  place.machine.environment.values.fs = FileBackend::uring;
  CHECK_FINDING(place.about("io_uring"), Kind::bad, "RAMIE_FS=uring builds no runtime", "unset");
}

TEST_CASE("Doctor: operations that the kernel lacks are named") {
  Place place = healthy();
  CHECK_FINDING(place.about("operations"), Kind::ok, "all 18", "");
  place.machine.ring.opcodes.reset(ramie::uring::kFtruncate);
  place.machine.ring.opcodes.reset(ramie::uring::kSendZeroCopy);
  CHECK_FINDING(place.about("operations"), Kind::note, "missing: SEND_ZC, FTRUNCATE",
                "FTRUNCATE (Linux 6.9): the blocking pool does it");
  place.machine.ring.opcodes.reset();
  CHECK_FINDING(place.about("operations"), Kind::note, "does not say", "io_uring_register");
}

TEST_CASE("Doctor: text has a line for each finding and one for its advice") {
  doctor::Report report;
  report.ok("one", "a fact");
  report.note("two", "a\nfact\x1b[31m", "an advice");
  CHECK(doctor::as_text(report.take()) ==
        "ok    one            a fact\n"
        "note  two            a?fact?[31m\n"
        "                     -> an advice\n");
}

TEST_CASE("Doctor: JSON escapes what files may hold") {
  doctor::Report report;
  report.ok("one", "say \"a\\b\"\n\xff");
  CHECK(doctor::as_json(report.take()) ==
        "{\n  \"findings\": [\n"
        "    {\"kind\": \"ok\", \"subject\": \"one\", \"fact\": \"say "
        "\\\"a\\\\b\\\"\\u000a\\u00ff\", \"advice\": \"\"}\n"
        "  ],\n  \"bad\": false\n}\n");
  report.bad("two", "x", "y");
  const auto findings = report.take();
  CHECK(doctor::has_bad(findings));
  CHECK(has(doctor::as_json(findings), "\"bad\": true"));
}

TEST_CASE("Doctor: bytes have units") {
  CHECK(doctor::in_bytes(0) == "0 bytes");
  CHECK(doctor::in_bytes(1023) == "1023 bytes");
  CHECK(doctor::in_bytes(1536) == "1.5 KiB");
  CHECK(doctor::in_bytes(std::uint64_t{512} << 20U) == "512 MiB");
}

TEST_CASE("Doctor: a version of the kernel is two numbers") {
  using doctor::KernelVersion;
  CHECK((doctor::kernel_version("6.1.0-49-amd64") == KernelVersion{6, 1}));
  CHECK((doctor::kernel_version("5.15") == KernelVersion{5, 15}));
  CHECK((KernelVersion{5, 15} < KernelVersion{6, 1}));
  for (const char* text : {"", "6", "6.", "x.1", "6-1"}) CHECK_FALSE(doctor::kernel_version(text));
}
