// What an emulator of one process lacks (the lane arm64 runs the tests under qemu-user). Cases that
// need it are skipped and counted; see skip.hpp.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <thread>

namespace ramie_test {

// (Not RAMIE_..., because the library names unknown variables of that kind on stderr.)
inline bool is_emulated() { return std::getenv("TEST_EMULATED") != nullptr; }

namespace detail {

// qemu-user 7.2 numbers its threads. A forked child forgets the parent's other threads but not
// their numbers, and aborts when a new thread gets one of them.
inline bool try_thread_in_fork() {
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    std::thread([] {}).join();
    ::_exit(0);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace detail

// Can a child start threads if its parent, which has several, forked it from an old one?
inline bool has_threads_in_forks() {
  if (!is_emulated()) return true;
  static const bool has_them = [] {
    bool has = false;
    std::thread other([] { ::pause(); });  // it has a higher number than this thread
    other.detach();
    has = detail::try_thread_in_fork();
    return has;
  }();
  return has_them;
}

// Can this program start itself? For an emulator's program binfmt_misc must tell the kernel how.
inline bool starts_own_programs() {
  if (!is_emulated()) return true;
  static const bool starts = [] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
      ::execl("/proc/self/exe", "itself", "--help", nullptr);
      ::_exit(99);
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
  }();
  return starts;
}

// Can system calls be denied? An emulator, which makes others than its program, refuses filters.
inline bool has_seccomp() { return !is_emulated() || ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0; }

}  // namespace ramie_test

// Reasons for RAMIE_SKIP.
#define RAMIE_NO_THREADS_IN_FORKS "emulated: a forked child cannot start threads"
#define RAMIE_NO_OWN_PROGRAMS "emulated: the kernel starts no program of this kind (no binfmt_misc)"
#define RAMIE_NO_SECCOMP "emulated: no seccomp"
#define RAMIE_NO_THREAD_COUNT "emulated: /proc/self/stat tells no number of threads"
#define RAMIE_NO_CALL_NUMBERS "emulated: /proc/self/task/*/syscall has the host's numbers"
