// Stacks: deep recursion, overflow reports, memory that goes back to the kernel, errno and TLS.
#include "sched/base/sys.hpp"
#include "sched/stack_overflow.hpp"
#include "tests/support/child.hpp"
#include "tests/support/process.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cfenv>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::JoinHandle;
using ramie::spawn;
using ramie::sched::GuardMethod;
using ramie::sched::StackPool;
using ramie_test::SchedRuntime;
using ramie_test::Watchdog;
using ramie_test::with_workers;

namespace {

// Uses a frame of `kBytes`, all of it touched. Returns the depth of the recursion.
template <std::size_t kBytes>
[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[kBytes];
  for (std::size_t i = 0; i < kBytes; i += 512) frame[i] = static_cast<char>(depth);
  const int below = depth == 0 ? 0 : recurse<kBytes>(depth - 1);
  return below + (frame[0] == static_cast<char>(depth) ? 1 : 0);
}

// Without a fault: the kernel says whether it can read there.
bool is_readable(const char* address) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const bool is_taken = ::write(ends[1], address, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  return is_taken;
}

thread_local int tls_value = 0;

// Looked up each time, since a compiler may keep a thread_local's address over a wait. (The race
// detector takes each fiber for a thread of its own.)
[[gnu::noinline]] RAMIE_NO_TSAN int& tls() {
  int* address = &tls_value;
  __asm__ __volatile__("" : "+r"(address)::"memory");
  return *address;
}
[[gnu::noinline]] RAMIE_NO_TSAN int read_tls() { return tls(); }
[[gnu::noinline]] RAMIE_NO_TSAN void write_tls(int value) { tls() = value; }
[[gnu::noinline]] RAMIE_NO_TSAN int read_errno() {
  __asm__ __volatile__("" ::: "memory");
  return errno;
}
[[gnu::noinline]] RAMIE_NO_TSAN void write_errno(int value) {
  __asm__ __volatile__("" ::: "memory");
  errno = value;
}

}  // namespace

TEST_CASE("BF06 200 frames and frames of 100 KiB fit a stack of the right size", "[sched][stack]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  CHECK(spawn({.stack_size = 4 << 20}, [] { return recurse<8192>(200); }).join() == 201);
  CHECK(spawn({.stack_size = 4 << 20}, [] { return recurse<100 * 1024>(20); }).join() == 21);
  CHECK(spawn({.stack_size = 16 * 1024}, [] { return recurse<512>(4); }).join() == 5);
  CHECK(spawn([] { return recurse<16 * 1024>(8); }).join() == 9);
  CHECK(runtime.scheduler().stacks().taken() == 0);
}

TEST_CASE("Stack sizes of many kinds are mapped, guarded and given back", "[sched][stack]") {
  const Watchdog watchdog;
  const auto method = GENERATE(GuardMethod::automatic, GuardMethod::mprotect, GuardMethod::off);
  ramie::sched::StackOptions options;
  options.guard = method;
  StackPool pool(options);
  std::vector<ramie::sched::Stack*> stacks;
  for (const std::size_t size : {0U, 1U, 16'384U, 65'536U, 262'144U, 1'000'001U}) {
    int error = 0;
    ramie::sched::Stack* stack = pool.take(size, error);
    REQUIRE(stack != nullptr);
    CHECK(error == 0);
    CHECK(stack->usable() + 4096 >= std::max<std::size_t>(size, 16'384));
    std::memset(const_cast<void*>(stack->low()), 1, stack->usable());
    const char* low = static_cast<const char*>(stack->low());
    CHECK(stack->guards(low - 1));
    CHECK(is_readable(low));
    CHECK(is_readable(low - 1) == (method == GuardMethod::off));
    CHECK(is_readable(low - StackPool::kFaulting) == (method == GuardMethod::off));
    CHECK(stack->guards(low - StackPool::kGuard));
    CHECK_FALSE(stack->guards(low));
    CHECK_FALSE(stack->guards(low - StackPool::kGuard - 1));
    stacks.push_back(stack);
  }
  CHECK(pool.taken() == 6);
  for (auto* stack : stacks) pool.give_back(stack);
  CHECK(pool.taken() == 0);
}

// Goal: madvise and mprotect get whole pages, also where a page has 64 KiB (AArch64). Method: every
// kind of stack, with the page size of this machine; the lane arm64 has one of 64 KiB.
TEST_CASE("Stack: it begins at a page, and so does its guard", "[sched][stack]") {
  const Watchdog watchdog;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  CHECK(ramie::base::sys::page_size() == page);
  CHECK(StackPool::kFaulting % page == 0);
  for (const std::size_t usual : {1U, 16'384U, 20'480U, 262'144U, 266'240U}) {
    StackPool pool({.size = usual});
    std::vector<ramie::sched::Stack*> stacks;
    for (const std::size_t size : {0U, 0U, 0U, 1U, 20'480U, 1'000'001U}) {
      int error = 0;
      stacks.push_back(pool.take(size, error));
      REQUIRE(stacks.back() != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(stacks.back()->low()) % page == 0);
    }
    for (auto* stack : stacks) pool.give_back(stack);
  }
}

// Goal: no sum, product or rounding of a size overflows. Method: sizes around every power of two,
// for single stacks and as a pool's default.
TEST_CASE("Stack: every size is mapped or refused with an error", "[sched][stack]") {
  const Watchdog watchdog;
  const auto check = [](StackPool& pool, std::size_t size, std::size_t least) {
    int error = 0;
    ramie::sched::Stack* stack = pool.take(size, error);
    if (stack == nullptr) return error == (size > StackPool::kMostSize ? -EINVAL : -ENOMEM);
    const bool is_large_enough = stack->usable() + 4096 >= least && size <= StackPool::kMostSize;
    static_cast<volatile char*>(stack->top())[-1] = 1;
    pool.give_back(stack);
    return is_large_enough;
  };
  StackPool usual({});
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const int step : {-4096, -1, 0, 1, 4096}) {
      const std::size_t size = (std::size_t{1} << shift) + static_cast<std::size_t>(step);
      CAPTURE(size);
      CHECK(check(usual, size, size));
      StackPool pool({.size = size});
      CHECK(check(pool, 0, std::min(size, StackPool::kMostSize)));
    }
  }
  CHECK(usual.taken() == 0);
}

TEST_CASE("spawn: a stack size beyond the bound is an error of join()", "[sched][stack]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  for (const std::size_t size : {~std::size_t{0}, ~std::size_t{0} - 4095, std::size_t{1} << 63,
                                 std::size_t{1} << 47, StackPool::kMostSize + 1}) {
    CAPTURE(size);
    const auto joined = spawn({.stack_size = size}, [] { return 1; }).join();
    REQUIRE_FALSE(joined.has_value());
    CHECK(joined.error() == std::errc::invalid_argument);
  }
  CHECK(spawn({.stack_size = 1}, [] { return 1; }).join() == 1);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RAMIE_TEST_SANITIZED 1
#endif
#endif
#else
#define RAMIE_TEST_SANITIZED 1
#endif

#if !defined(RAMIE_TEST_SANITIZED)  // a sanitizer takes SIGSEGV and prints its own report

// Goal: an overflow hits the guard, with small frames and large ones, and the message names the
// fiber.
TEST_CASE("BF04 a stack overflow says which fiber, on any kind of guard", "[sched][stack]") {
  const Watchdog watchdog;
  const auto method = GENERATE(GuardMethod::automatic, GuardMethod::mprotect);
  const auto large = GENERATE(false, true);
  const auto end = ramie_test::run_in_child([&] {
    sigset_t all;  // a parent process may leave it like this
    ::sigfillset(&all);
    ::sigdelset(&all, SIGALRM);
    if (large) ::sigprocmask(SIG_BLOCK, &all, nullptr);
    ramie::sched::install_stack_overflow_reporter();
    auto options = with_workers(2);
    options.stacks.guard = method;
    SchedRuntime runtime(options);
    std::vector<JoinHandle<ramie::Result<void>>> others;
    for (int i = 0; i < 50; ++i) others.push_back(spawn([] { return ramie::sleep_for(1h); }));
    (void)spawn({.name = "the deep one"}, [large] {
      return large ? recurse<50'000>(1'000) : recurse<256>(1'000'000);
    }).join();
  });
  CHECK(end.signal == SIGSEGV);
  CHECK(end.says("stack overflow in fiber"));
  CHECK(end.says("'the deep one'"));
}

#if !defined(__clang__)  // no way to leave the probes out of one function

// Touches the far end of a frame of `bytes` first, like a read of a short message into a large
// array.
template <class Then>
[[gnu::noinline, gnu::optimize("no-stack-clash-protection")]] int step_over(std::size_t bytes,
                                                                            Then then) {
  auto* frame = static_cast<volatile char*>(__builtin_alloca(bytes));
  for (int i = 0; i < 64; ++i) frame[i] = 0x5a;
  then();
  return frame[3];
}

// Goal: a frame without stack probes that is larger than the rest of its stack changes no other
// fiber's stack. Method: frames of many sizes between forty fibers with locals of 200 KB.
TEST_CASE("BF04 a frame that steps over the guard overwrites nobody's locals", "[sched][stack]") {
  const Watchdog watchdog;
  const std::size_t kibibytes = GENERATE(280U, 330U, 400U, 512U, 700U, 1024U);
  const auto end = ramie_test::run_in_child([kibibytes] {
    ramie::sched::install_stack_overflow_reporter();
    SchedRuntime runtime(2);
    const ramie::CancellationToken go;
    std::atomic<int> in{0};
    std::vector<JoinHandle<int>> others;
    for (int i = 0; i < 40; ++i)
      others.push_back(spawn([&go, &in] {
        std::array<volatile unsigned char, 200'000> mine;
        for (volatile unsigned char& one : mine) one = 0x11;
        ++in;
        (void)go.wait();
        return static_cast<int>(
            mine.size() - static_cast<std::size_t>(std::count(mine.begin(), mine.end(), 0x11)));
      }));
    ramie_test::spin_until([&] { return in == 40; });
    for (int i = 0; i < 5; ++i)
      (void)spawn([kibibytes] { return step_over(kibibytes << 10, [] {}); }).join();
    go.cancel();
    int overwritten = 0;
    for (auto& other : others) overwritten += other.join().value_or(1);
    if (overwritten != 0) ::_exit(7);
  });
  CHECK(end.exit_status != 7);
  CHECK((end.exit_status == 0 || end.says("stack overflow in fiber")));
}

TEST_CASE("BF04 a fiber that waits with a frame beyond its guard stops the program by name",
          "[sched][stack]") {
  const Watchdog watchdog;
  const bool yields = GENERATE(false, true);
  const std::size_t kibibytes = GENERATE(400U, 900U, 3000U);
  const auto end = ramie_test::run_in_child([yields, kibibytes] {
    ramie::sched::install_stack_overflow_reporter();
    SchedRuntime runtime(2);
    std::vector<JoinHandle<ramie::Result<void>>> others;
    for (int i = 0; i < 40; ++i) others.push_back(spawn([] { return ramie::sleep_for(1h); }));
    (void)spawn({.name = "the wide one"}, [yields, kibibytes] {
      return step_over(kibibytes << 10, [yields] {
        if (yields) ramie::yield_now();
        else (void)ramie::sleep_for(5ms);  // long enough to make it wait
      });
    }).join();
  });
  CHECK(end.signal != 0);
  CHECK(end.says("'the wide one'"));
  CHECK((end.says("has left its stack") || end.says("stack overflow")));
}

#endif

TEST_CASE("BF04 another fault is not called an overflow", "[sched][stack]") {
  const Watchdog watchdog;
  const auto end = ramie_test::run_in_child([] {
    ramie::sched::install_stack_overflow_reporter();
    SchedRuntime runtime(1);
    (void)spawn([] {
      volatile int* nowhere = nullptr;
      __asm__ __volatile__("" : "+r"(nowhere));
      *nowhere = 1;
    }).join();
  });
  CHECK(end.signal == SIGSEGV);
  CHECK_FALSE(end.says("stack overflow"));
}

TEST_CASE("BF06 the memory of a burst of stacks goes back to the kernel", "[sched][stack]") {
  const Watchdog watchdog;
  auto options = with_workers(2);
  options.stacks.cache_bytes = 1 << 20;
  SchedRuntime runtime(options);
  constexpr int kFibers = 2000;
  const std::size_t before = ramie_test::resident_bytes();
  std::size_t at_peak = 0;
  {
    const ramie::CancellationToken go;
    std::atomic<int> deep{0};
    std::vector<JoinHandle<void>> fibers;
    for (int i = 0; i < kFibers; ++i)
      fibers.push_back(spawn([&] {
        (void)recurse<8192>(10);
        ++deep;
        (void)go.wait();
      }));
    ramie_test::spin_until([&] { return deep == kFibers; });
    at_peak = ramie_test::resident_bytes();
    CHECK(runtime.scheduler().stacks().taken() == kFibers);
    go.cancel();
    for (auto& fiber : fibers) CHECK(fiber.join().has_value());
  }
  const std::size_t after = ramie_test::resident_bytes();
  INFO(before << " -> " << at_peak << " -> " << after << " bytes");
  CHECK(at_peak - before > kFibers * std::size_t{80'000});
  CHECK(after - before < (at_peak - before) / 3);
}

TEST_CASE("BF04 60,000 fibers are parked at once, each with a guarded stack", "[sched][stack]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  constexpr int kFibers = 60'000;
  const ramie::CancellationToken go;
  std::atomic<int> in{0};
  std::vector<JoinHandle<void>> fibers;
  fibers.reserve(kFibers);
  for (int i = 0; i < kFibers; ++i)
    fibers.push_back(spawn([&] {
      ++in;
      (void)go.wait();
    }));
  std::size_t failed = 0;
  // Without MADV_GUARD_INSTALL the number is limited, and join() of a fiber beyond it returns an
  // error.
  ramie_test::spin_until([&] {
    failed = 0;
    for (auto& fiber : fibers) failed += fiber.is_finished();
    return in + static_cast<int>(failed) == kFibers;
  });
  const bool is_madvise = runtime.scheduler().stacks().guard_method() == GuardMethod::madvise;
  CHECK((failed == 0 || !is_madvise));
  go.cancel();
  std::size_t refused = 0;
  for (auto& fiber : fibers) {
    const auto joined = fiber.join();
    refused += !joined && joined.error() == std::errc::not_enough_memory;
  }
  CHECK(refused == failed);
}

#endif

// Goal: a fiber keeps its rounding mode over waits and changes of thread, and gives it to nobody.
// Method: fibers with different modes yield to each other, and spawn fibers that look.
TEST_CASE("The rounding mode belongs to the fiber", "[sched][stack]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::atomic<int> lost{0};
  std::atomic<int> inherited{0};
  std::vector<JoinHandle<void>> fibers;
  for (int i = 0; i < 40; ++i)
    fibers.push_back(spawn([&, i] {
      constexpr std::array kModes{FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
      const int mode = kModes[static_cast<std::size_t>(i) % kModes.size()];
      (void)std::fesetround(mode);
      for (int turn = 0; turn < 50; ++turn) {
        if (turn % 10 == 0) spawn([&] { inherited += std::fegetround() != FE_TONEAREST; }).detach();
        ramie::yield_now();
        lost += std::fegetround() != mode;
      }
    }));
  for (auto& fiber : fibers) CHECK(fiber.join().has_value());
  CHECK(lost == 0);
  CHECK(inherited == 0);
}

// Goal: after a change of thread a fiber sees the new thread's variables and errno. Method: each
// fiber writes its worker's number into them, so the value in the thread tells the worker.
TEST_CASE("BF03 thread id, TLS and errno are those of the thread that runs the fiber",
          "[sched][stack]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  std::vector<JoinHandle<int>> fibers;
  for (int i = 0; i < 16; ++i)
    fibers.push_back(spawn([] {
      int wrong = 0;
      for (int n = 0; n < 300; ++n) {
        write_tls(ramie::current::worker_index() + 100);
        write_errno(ramie::current::worker_index() + 1000);
        if (n % 2 == 0) (void)ramie::sleep_for(10us);
        else ramie::yield_now();
        const int worker = ramie::current::worker_index();
        wrong += read_tls() != worker + 100 && read_tls() != 0;
        write_errno(worker + 1000);
        wrong += read_errno() != worker + 1000;
      }
      return wrong;
    }));
  for (auto& fiber : fibers) CHECK(fiber.join() == 0);
}
