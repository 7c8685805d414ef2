// See probe.hpp.
//
//   asker     IDLE -> ASKED(thread), tgkill, sleep ......... DONE: read the frames -> IDLE
//   handler            ASKED(me) -> WRITING, walk, -> DONE, wake
//   asker     no answer: ASKED -> IDLE. A handler that comes later finds nothing to do, or the
//             number of another thread.
#include "sched/probe.hpp"

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/interrupted.hpp"
#include "sched/base/mutex.hpp"
#include "sched/base/sys.hpp"

#include <sys/syscall.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

namespace ramie::inline v0::sched {

namespace {

enum State : std::uint32_t { kIdle, kWriting, kDone, kAsked };
constexpr std::uint32_t asked_of(int thread_id) noexcept {
  return kAsked | static_cast<std::uint32_t>(thread_id) << 2U;  // the kernel's have 22 bits
}

constexpr base::Nanos kPatience{200'000'000};
// The unwinder hangs, so no thread is asked any more.
constexpr base::Nanos kGivesUp{10'000'000'000};

constinit base::Mutex mutex;  // one asker at a time
constinit base::Atomic<std::uint32_t> state{kIdle};
constinit Frames answer{};

void on_signal(int, siginfo_t*, void* context) noexcept {
  std::uint32_t expected = asked_of(base::sys::thread_id());
  if (!state.compare_exchange_strong(expected, kWriting, base::kAcqRel, base::kRelaxed)) return;
  unwind_interrupted(base::interrupted(context).instruction, answer);
  state.store(kDone, base::kRelease);
  base::sys::futex_wake_from_handler(&state);
}

// A fork may come while another thread asks.
[[maybe_unused]] const bool is_forgotten_in_children = base::sys::in_forked_child([]() noexcept {
  std::construct_at(&mutex);
  state.store(kIdle, base::kRelaxed);
});

// Called under the mutex. Returns false if the program uses SIGURG itself.
bool install() noexcept {
  struct sigaction present{};
  if (::sigaction(SIGURG, nullptr, &present) != 0) return false;
  const bool is_sigaction = (present.sa_flags & SA_SIGINFO) != 0;
  if (is_sigaction) return present.sa_sigaction == &on_signal;
  if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN) return false;
  unwind_ahead();
  struct sigaction action{};
  action.sa_sigaction = &on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  return ::sigaction(SIGURG, &action, nullptr) == 0;
}

// Returns whether the answer is there.
bool wait_for_answer(std::uint32_t question) noexcept {
  const base::Instant limit = base::now() + kPatience;
  for (;;) {
    const std::uint32_t now = state.load(base::kAcquire);
    if (now == kDone) return true;
    const base::Nanos left = limit - base::now();
    if (left.count() > 0) {
      (void)base::sys::futex_wait(&state, now, left);
      continue;
    }
    std::uint32_t expected = question;
    if (state.compare_exchange_strong(expected, kIdle, base::kAcqRel, base::kRelaxed)) return false;
    if (left < -kGivesUp) return false;
    (void)base::sys::futex_wait(&state, kWriting, kPatience);  // the handler is walking
  }
}

struct Call {
  long number;
  const char* name;
};
constexpr Call kCalls[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_readv, "readv"},
    {SYS_writev, "writev"},
    {SYS_pread64, "pread"},
    {SYS_pwrite64, "pwrite"},
    {SYS_openat, "openat"},
    {SYS_close, "close"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_flock, "flock"},
    {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "pselect"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_epoll_pwait2, "epoll_pwait2"},
    {SYS_futex, "futex"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_accept, "accept"},
    {SYS_accept4, "accept4"},
    {SYS_connect, "connect"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_newfstatat, "fstatat"},
    {SYS_getdents64, "getdents"},
    {SYS_ioctl, "ioctl"},
    {SYS_fcntl, "fcntl"},
    {SYS_rt_sigtimedwait, "sigtimedwait"},
#if defined(__x86_64__)  // elsewhere the C library uses the newer ones above
    {SYS_open, "open"},
    {SYS_poll, "poll"},
    {SYS_select, "select"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_stat, "stat"},
    {SYS_pause, "pause"},
#endif
};

}  // namespace

bool probe(int thread_id, Frames& frames) noexcept {
  const std::lock_guard lock(mutex);
  if (state.load(base::kRelaxed) != kIdle || !install()) return false;
  answer.count = 0;
  state.store(asked_of(thread_id), base::kRelease);
  if (base::sys::interrupt(thread_id, SIGURG) != 0) {
    state.store(kIdle, base::kRelaxed);
    return false;
  }
  if (!wait_for_answer(asked_of(thread_id))) return false;
  frames = answer;
  state.store(kIdle, base::kRelaxed);
  return true;
}

std::string system_call_of(int thread_id) {
  std::array<char, 64> path;
  std::array<char, 256> text{};
  (void)std::snprintf(path.data(), path.size(), "/proc/self/task/%d/syscall", thread_id);
  if (base::sys::read_file(path.data(), std::span(text).first(text.size() - 1)) <= 0) return {};
  char* end = nullptr;
  const long number = std::strtol(text.data(), &end, 10);  // "running" has none; -1: a fault
  if (end == text.data() || number < 0) return {};
  for (const Call& call : kCalls)
    if (call.number == number) return call.name;
  return "system call " + std::to_string(number);
}

}  // namespace ramie::inline v0::sched
