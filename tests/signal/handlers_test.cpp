// The signal handler: what it may touch, how much stack it needs, and in which process it works.
#include <catch2/catch.hpp>

#include <ramie/signal.hpp>
#include <ramie/time.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "signal/handlers.hpp"
#include "tests/faults/confine.hpp"
#include "tests/signal/runtime.hpp"
#include "tests/support/skip.hpp"

using namespace ramie::test;
using ramie::signal::Kind;
using ramie::signal::Signal;
using ramie::signal::handlers::Bell;

namespace {

bool has_rung(const Bell& bell) {
  pollfd entry{bell.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

void silence(const Bell& bell) {
  std::uint64_t count = 0;
  while (::read(bell.fd(), &count, sizeof count) > 0) continue;
}

int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

// How many bytes of a fresh alternate stack the handler of `number` and its frame use.
std::size_t stack_used_by(int number) {
  static std::array<unsigned char, 256 * 1024> stack;
  stack.fill(0xa5);
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  stack_t before{};
  REQUIRE(::sigaltstack(&alternate, &before) == 0);
  REQUIRE(::raise(number) == 0);
  REQUIRE(::sigaltstack(&before, nullptr) == 0);
  const auto untouched =
      std::find_if(stack.begin(), stack.end(), [](unsigned char byte) { return byte != 0xa5; });
  return static_cast<std::size_t>(stack.end() - untouched);
}

}  // namespace

TEST_CASE("S1: the handler leaves errno as it was, even if its write fails") {
  REQUIRE(ramie::signal::handlers::install(SIGUSR1));
  const auto full = ramie::or_throw(Bell::create());
  const std::uint64_t most = ~std::uint64_t{1};
  REQUIRE(::write(full.fd(), &most, sizeof most) == sizeof most);
  errno = 4242;
  (void)::raise(SIGUSR1);
  const int after = errno;
  CHECK(after == 4242);
  CHECK((ramie::signal::handlers::take() & ramie::signal::bit_of(SIGUSR1)) != 0);
}

TEST_CASE("S1: a bell that comes after the signal has rung already") {
  REQUIRE(ramie::signal::handlers::install(SIGUSR1));
  (void)ramie::signal::handlers::take();
  CHECK_FALSE(has_rung(ramie::or_throw(Bell::create())));
  (void)::raise(SIGUSR1);
  CHECK(has_rung(ramie::or_throw(Bell::create())));
  CHECK(ramie::signal::handlers::take() == ramie::signal::bit_of(SIGUSR1));
  CHECK(ramie::signal::handlers::take() == 0);
}

// Goal: below 512 bytes, and on the alternate stack. Method: compare with a handler that does
// nothing. (Sanitizers add their own frames.)
TEST_CASE("S4: the handler uses the alternate stack and less than 512 bytes of it") {
  if (RAMIE_TSAN != 0 || RAMIE_ASAN != 0) RAMIE_SKIP("sanitizers have frames of their own");
  REQUIRE(ramie::signal::handlers::install(SIGUSR1));
  struct sigaction empty{};
  empty.sa_handler = [](int) {};
  empty.sa_flags = SA_ONSTACK;
  REQUIRE(::sigaction(SIGURG, &empty, nullptr) == 0);
  const auto bell = ramie::or_throw(Bell::create());
  (void)::raise(SIGUSR1);  // now the loader has bound all functions
  const std::size_t nothing = stack_used_by(SIGURG);
  const std::size_t ours = stack_used_by(SIGUSR1);
  CHECK(nothing > 0);
  CHECK(ours >= nothing);
  CHECK(ours - nothing < 512);
  CHECK(has_rung(bell));
  CHECK((ramie::signal::handlers::take() & ramie::signal::bit_of(SIGUSR1)) != 0);
}

TEST_CASE("S3: a forked child that raises gets the default action and rings no bell of ours") {
  const bool has_getpid = GENERATE(true, false);  // a sandbox may deny it
  if (!has_getpid && !ramie_test::has_seccomp()) RAMIE_SKIP(RAMIE_NO_SECCOMP);
  REQUIRE(ramie::signal::handlers::install(SIGUSR1));
  const auto bell = ramie::or_throw(Bell::create());
  silence(bell);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (!has_getpid) faults::deny("getpid=EPERM");
    (void)ramie::base::sys::interrupt(ramie::base::sys::thread_id(), SIGUSR1);
    (void)::usleep(1000);  // the race detector delays it until a thread sleeps
    ::_exit(0);
  }
  const int status = wait_for(child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGUSR1);
  CHECK_FALSE(has_rung(bell));
  CHECK(ramie::signal::handlers::take() == 0);
}

// Under TSan a forked process may not start threads, so the child does without a runtime.
TEST_CASE("S3: a forked child that listens itself starts afresh") {
  REQUIRE(ramie::signal::handlers::install(SIGUSR1));
  REQUIRE(ramie::signal::handlers::install(SIGUSR2));
  const auto parents = ramie::or_throw(Bell::create());
  silence(parents);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    {
      auto own = Bell::create();
      if (!own || !ramie::signal::handlers::install(SIGUSR1)) ::_exit(1);
      (void)::raise(SIGUSR1);
      if (!has_rung(*own) || has_rung(parents)) ::_exit(2);
      if (ramie::signal::handlers::take() != ramie::signal::bit_of(SIGUSR1)) ::_exit(3);
    }
    (void)::raise(SIGUSR2);  // nobody opened it here
    ::_exit(4);
  }
  const int status = wait_for(child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGUSR2);
  CHECK_FALSE(has_rung(parents));
}

TEST_CASE("S4: the table has an end, and says so") {
  std::vector<Bell> bells;
  std::error_code error;
  while (bells.size() <= ramie::signal::handlers::kMaxBells) {
    auto bell = Bell::create();
    if (!bell) {
      error = bell.error();
      break;
    }
    bells.push_back(std::move(*bell));
  }
  CHECK(error == std::errc::too_many_files_open);  // the table's end, or the process's limit
  CHECK(bells.size() > 100);
  bells.pop_back();
  CHECK(Bell::create());
}
