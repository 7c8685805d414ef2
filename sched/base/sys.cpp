// See sys.hpp. The only file of this layer that reads errno.
#include "sched/base/sys.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace ramie::inline v0::base::sys {

namespace {
constexpr auto kNanosPerSecond = 1'000'000'000LL;

// errno belongs to the thread, not to the fiber. A race detector that takes each fiber for a thread
// would see several fibers use one address.
[[gnu::noinline]] RAMIE_NO_TSAN int last_error() noexcept { return -errno; }

[[gnu::noinline]] ssize_t write_some(const char* text, std::size_t size) noexcept {
  const ssize_t n = ::write(STDERR_FILENO, text, size);
  return n < 0 ? last_error() : n;
}
}  // namespace

[[gnu::noinline]] int futex_wait(const void* word, std::uint32_t expected,
                                 std::chrono::nanoseconds timeout) noexcept {
  if (int planned = inject("futex_wait"); planned != 0) return planned;
  timespec limit{};
  timespec* at_most = nullptr;
  if (timeout.count() >= 0) {
    limit.tv_sec = timeout.count() / kNanosPerSecond;
    limit.tv_nsec = timeout.count() % kNanosPerSecond;
    at_most = &limit;
  }
  const long rc = ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, at_most, nullptr, 0);
  if (rc >= 0) return 0;
  const int error = last_error();
  if (error == -EPERM || error == -ENOSYS) fatal("a sandbox denies futex: no thread can sleep");
  return error;
}

[[gnu::noinline]] void futex_wake(const void* word, int count) noexcept {
  (void)inject("futex_wake");  // may come late; cannot fail
  (void)::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

std::size_t page_size() noexcept { return static_cast<std::size_t>(::getpagesize()); }

[[gnu::noinline]] void* map(std::size_t bytes, int& error) noexcept {
  error = inject("mmap");
  if (error != 0) return nullptr;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (address != MAP_FAILED) return address;
  error = last_error();
  return nullptr;
}

[[gnu::noinline]] int unmap(void* address, std::size_t bytes) noexcept {
  if (int planned = inject("munmap"); planned != 0) return planned;
  return ::munmap(address, bytes) < 0 ? last_error() : 0;
}

[[gnu::noinline]] int advise(void* address, std::size_t bytes, int advice) noexcept {
  if (int planned = inject("madvise"); planned != 0) return planned;
  return ::madvise(address, bytes, advice) < 0 ? last_error() : 0;
}

[[gnu::noinline]] int protect_none(void* address, std::size_t bytes) noexcept {
  if (int planned = inject("mprotect"); planned != 0) return planned;
  return ::mprotect(address, bytes, PROT_NONE) < 0 ? last_error() : 0;
}

[[gnu::noinline]] int protect_data(void* address, std::size_t bytes, bool is_writable) noexcept {
  if (int planned = inject("mprotect_data"); planned != 0) return planned;
  const int protection = is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
  return ::mprotect(address, bytes, protection) < 0 ? last_error() : 0;
}

const char* describe_error(int error) noexcept {
  const char* text = ::strerrordesc_np(error);
  return text == nullptr ? "unknown error" : text;
}

[[gnu::noinline]] int thread_id() noexcept { return static_cast<int>(::syscall(SYS_gettid)); }

[[gnu::noinline]] int interrupt(int thread_id, int signal) noexcept {
  if (int planned = inject("tgkill"); planned != 0) return planned;
  const pid_t self = ::getpid();
  const long rc = self > 0 ? ::syscall(SYS_tgkill, self, thread_id, signal)
                           : ::syscall(SYS_tkill, thread_id, signal);  // a sandbox denies getpid
  return rc < 0 ? last_error() : 0;
}

[[gnu::noinline]] RAMIE_NO_TSAN void futex_wake_from_handler(const void* word) noexcept {
  const int before = errno;
  futex_wake(word, 1 << 30);
  errno = before;
}

[[gnu::noinline]] int read_file(const char* path, std::span<char> buffer) noexcept {
  if (int planned = inject("open"); planned != 0) return planned;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return last_error();
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  const int result = n < 0 ? last_error() : static_cast<int>(n);
  (void)::close(fd);
  return result;
}

// They are named iou-wrk-N or iou-sqp-N.
[[gnu::noinline]] std::size_t kernel_io_threads() noexcept {
  if (inject("open") != 0) return 0;
  DIR* threads = ::opendir("/proc/self/task");
  if (threads == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* one = ::readdir(threads)) {
    char path[64];
    char name[8] = {};
    (void)std::snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", one->d_name);
    if (one->d_name[0] == '.' || read_file(path, std::span(name, sizeof name - 1)) <= 0) continue;
    count += std::strncmp(name, "iou-", 4) == 0 ? 1 : 0;
  }
  (void)::closedir(threads);
  return count;
}

void no_timer_slack() noexcept {
  if (inject("prctl") == 0) (void)::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void name_thread(const char* name) noexcept {
  if (inject("prctl") == 0) (void)::pthread_setname_np(::pthread_self(), name);
}

void pin_thread(std::span<const unsigned> cpus) noexcept {
  if (cpus.empty() || inject("sched_setaffinity") != 0) return;
  const unsigned most = *std::max_element(cpus.begin(), cpus.end()) + 1;
  const std::size_t size = CPU_ALLOC_SIZE(most);
  cpu_set_t* mask = CPU_ALLOC(most);
  if (mask == nullptr) return;
  CPU_ZERO_S(size, mask);
  for (const unsigned cpu : cpus) CPU_SET_S(cpu, size, mask);
  (void)::sched_setaffinity(0, size, mask);
  CPU_FREE(mask);
}

void write_stderr(const char* text, std::size_t size) noexcept {
  while (size > 0) {
    std::size_t part = size;
    const int planned = inject("write", part);
    const ssize_t n = planned != 0 ? planned : write_some(text, part);
    if (n == -EINTR) continue;
    if (n <= 0) return;
    text += n;
    size -= static_cast<std::size_t>(n);
  }
}

[[gnu::noinline]] void write_stderr_within(const char* text, std::size_t size,
                                           int milliseconds) noexcept {
  while (size > 0) {
    pollfd place{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&place, 1, milliseconds) != 1 || (place.revents & POLLOUT) == 0) return;
    const std::size_t piece = std::min<std::size_t>(size, PIPE_BUF);
    write_stderr(text, piece);
    text += piece;
    size -= piece;
  }
}

void block_signals() noexcept {
  sigset_t all;
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void unblock_signal(int number) noexcept {
  sigset_t one;
  (void)::sigemptyset(&one);
  (void)::sigaddset(&one, number);
  (void)::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

bool in_forked_child(void (*act)() noexcept) noexcept {
  return ::pthread_atfork(nullptr, nullptr, act) == 0;
}

void around_forks(void (*before)() noexcept, void (*after)() noexcept,
                  void (*in_child)() noexcept) noexcept {
  (void)::pthread_atfork(before, after, in_child);
}

[[gnu::noinline]] std::uint64_t random_seed() noexcept {
  std::uint64_t seed = 0;
  if (inject("getrandom") != 0 ||
      ::getrandom(&seed, sizeof seed, GRND_NONBLOCK) != static_cast<ssize_t>(sizeof seed)) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    seed = static_cast<std::uint64_t>(now.tv_nsec) ^ (static_cast<std::uint64_t>(now.tv_sec) << 32);
  }
  return seed;
}

}  // namespace ramie::inline v0::base::sys
