// Takes from this process what a sandbox, a container or a small machine may not offer:
//
//     deny accept4=EMFILE         a system call always returns this (by seccomp)
//     late statx=EPERM            the same for a program that enters its sandbox after its start
//     deny madvise@2:102=EINVAL   only where argument 2 is 102
//     limit nofile=+1             one descriptor more than now (as=+8: MiB of address space)
//     limit memlock=0             this limit; nproc also changes the user if root has no limit
//
// There is no way back, so use it in a separate process, before that has threads.
#pragma once

#include "tests/support/fault_plan.hpp"
#include "tests/support/process.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace faults {

namespace detail {

struct SystemCall {
  std::string_view name;
  int number;
};
inline constexpr SystemCall kSystemCalls[] = {
    {"accept4", SYS_accept4},
    {"bind", SYS_bind},
    {"clock_gettime", SYS_clock_gettime},
    {"clock_nanosleep", SYS_clock_nanosleep},
    {"clone", SYS_clone},
    {"clone3", SYS_clone3},
    {"close", SYS_close},
    {"connect", SYS_connect},
    {"copy_file_range", SYS_copy_file_range},
    {"epoll_create1", SYS_epoll_create1},
    {"epoll_ctl", SYS_epoll_ctl},
    {"epoll_pwait", SYS_epoll_pwait},
    {"epoll_pwait2", SYS_epoll_pwait2},
    {"eventfd2", SYS_eventfd2},
    {"fallocate", SYS_fallocate},
    {"fchmod", SYS_fchmod},
    {"fchmodat", SYS_fchmodat},
    {"fcntl", SYS_fcntl},
    {"fdatasync", SYS_fdatasync},
    {"flock", SYS_flock},
    {"fsync", SYS_fsync},
    {"ftruncate", SYS_ftruncate},
    {"futex", SYS_futex},
    {"getdents64", SYS_getdents64},
    {"getpeername", SYS_getpeername},
    {"getpid", SYS_getpid},
    {"getrandom", SYS_getrandom},
    {"getsockname", SYS_getsockname},
    {"getsockopt", SYS_getsockopt},
    {"gettid", SYS_gettid},
    {"inotify_add_watch", SYS_inotify_add_watch},
    {"inotify_init1", SYS_inotify_init1},
    {"inotify_rm_watch", SYS_inotify_rm_watch},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register},
    {"io_uring_setup", SYS_io_uring_setup},
    {"ioctl", SYS_ioctl},
    {"linkat", SYS_linkat},
    {"listen", SYS_listen},
    {"lseek", SYS_lseek},
    {"madvise", SYS_madvise},
    {"mkdirat", SYS_mkdirat},
    {"mmap", SYS_mmap},
    {"mprotect", SYS_mprotect},
    {"munmap", SYS_munmap},
    {"newfstatat", SYS_newfstatat},
    {"openat", SYS_openat},
    {"openat2", SYS_openat2},
    {"pipe2", SYS_pipe2},
    {"prctl", SYS_prctl},
    {"pread64", SYS_pread64},
    {"preadv", SYS_preadv},
    {"preadv2", SYS_preadv2},
    {"pwrite64", SYS_pwrite64},
    {"pwritev", SYS_pwritev},
    {"pwritev2", SYS_pwritev2},
    {"read", SYS_read},
    {"readlinkat", SYS_readlinkat},
    {"readv", SYS_readv},
    {"recvfrom", SYS_recvfrom},
    {"recvmsg", SYS_recvmsg},
    {"renameat", SYS_renameat},
    {"renameat2", SYS_renameat2},
    {"rt_sigaction", SYS_rt_sigaction},
    {"rt_sigpending", SYS_rt_sigpending},
    {"rt_sigprocmask", SYS_rt_sigprocmask},
    {"rt_sigtimedwait", SYS_rt_sigtimedwait},
    {"sched_getaffinity", SYS_sched_getaffinity},
    {"sched_setaffinity", SYS_sched_setaffinity},
    {"sched_yield", SYS_sched_yield},
    {"sendmsg", SYS_sendmsg},
    {"sendto", SYS_sendto},
    {"setsockopt", SYS_setsockopt},
    {"shutdown", SYS_shutdown},
    {"sigaltstack", SYS_sigaltstack},
    {"socket", SYS_socket},
    {"statmount", 457},
    {"statx", SYS_statx},
    {"symlinkat", SYS_symlinkat},
    {"tee", SYS_tee},
    {"tgkill", SYS_tgkill},
    {"unlinkat", SYS_unlinkat},
    {"utimensat", SYS_utimensat},
    {"write", SYS_write},
    {"writev", SYS_writev},
#if defined(__x86_64__)
    {"epoll_wait", SYS_epoll_wait},
    {"poll", SYS_poll},
    {"readlink", SYS_readlink},
#endif
};

#if defined(__x86_64__)
inline constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

inline int number_of_call(std::string_view name) {
  for (const SystemCall& one : kSystemCalls)
    if (one.name == name) return one.number;
  throw std::invalid_argument("no system call '" + std::string(name) + "' here");
}

inline int number_of_errno(std::string_view name) {
  for (const ramie_test::Errno& one : ramie_test::kErrnos)
    if (one.name == name) return one.number;
  throw std::invalid_argument("no errno '" + std::string(name) + "'");
}

inline long number(std::string_view text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument("'" + std::string(text) + "' is no number");
  return value;
}

// "a=b" -> a, b
inline std::pair<std::string_view, std::string_view> halves(std::string_view text, char at) {
  const std::size_t place = text.find(at);
  if (place == std::string_view::npos)
    throw std::invalid_argument("want '" + std::string(1, at) + "' in '" + std::string(text) + "'");
  return {text.substr(0, place), text.substr(place + 1)};
}

inline std::size_t address_space() {
  unsigned long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr || std::fscanf(file, "%lu", &pages) != 1) pages = 0;
  if (file != nullptr) (void)std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace detail

enum class Whom : bool { this_thread_and_its_children, all_threads };

inline void deny(std::string_view rule, Whom whom = Whom::this_thread_and_its_children) {
  auto [call, error] = detail::halves(rule, '=');
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, detail::kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  const std::size_t at = call.find('@');
  const auto which = static_cast<std::uint32_t>(detail::number_of_call(call.substr(0, at)));
  const auto said = static_cast<std::uint32_t>(detail::number_of_errno(error));
  if (at == std::string_view::npos) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, which, 0, 1));
  } else {
    const auto [index, value] = detail::halves(call.substr(at + 1), ':');
    const auto place = static_cast<std::uint32_t>(
        offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(detail::number(index)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, which, 0, 3));
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place));  // the lower half
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                               static_cast<std::uint32_t>(detail::number(value)), 0, 1));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | said));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                whom == Whom::all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0UL, &filter) != 0)
    throw std::runtime_error("the kernel takes no seccomp filter");
}

inline void limit(std::string_view rule) {
  auto [what, text] = detail::halves(rule, '=');
  const bool is_relative = text.starts_with('+');
  if (is_relative) text.remove_prefix(1);
  auto value = static_cast<rlim_t>(detail::number(text));
  int resource = -1;
  if (what == "nofile") {
    resource = RLIMIT_NOFILE;
    if (is_relative) value += ramie_test::open_descriptors();
  } else if (what == "as") {
    resource = RLIMIT_AS;
    value = (value << 20U) + (is_relative ? detail::address_space() : 0);
  } else if (what == "memlock") {
    resource = RLIMIT_MEMLOCK;
  } else if (what == "nproc") {
    resource = RLIMIT_NPROC;
  } else {
    throw std::invalid_argument("no limit '" + std::string(what) + "' here");
  }
  const rlimit both{value, value};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0)
    throw std::runtime_error("setrlimit failed");
  if (resource == RLIMIT_NPROC && ::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0)
    throw std::runtime_error("setresuid failed");
}

}  // namespace faults
