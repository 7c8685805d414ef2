// The shutdown token. Each case runs in its own process: this program runs itself with a hidden
// case.
#include <catch2/catch.hpp>

#include <ramie/cancel.hpp>
#include <ramie/signal.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "tests/signal/runtime.hpp"
#include "tests/support/skip.hpp"

using namespace ramie::test;
using ramie::signal::Kind;
using ramie::signal::Signal;

extern char** environ;

namespace {

constexpr int kReport = 9;  // the child's end of the pipe

void report(char what) { REQUIRE(::write(kReport, &what, 1) == 1); }

class Child {
 public:
  explicit Child(std::string hidden_case) {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe[1], kReport);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    std::string program = "/proc/self/exe";
    std::array<char*, 3> arguments{program.data(), hidden_case.data(), nullptr};
    REQUIRE(::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) ==
            0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
    reports_ = pipe[0];
  }
  ~Child() {
    if (pid_ > 0) {
      (void)::kill(pid_, SIGKILL);
      (void)::waitpid(pid_, nullptr, 0);
    }
    ::close(reports_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(int number) { REQUIRE(::kill(pid_, number) == 0); }
  // The next report; 0 at its end, '?' if nothing comes.
  char next() {
    pollfd entry{reports_, POLLIN, 0};
    if (::poll(&entry, 1, 20'000) != 1) return '?';
    char what = 0;
    return ::read(reports_, &what, 1) == 1 ? what : '\0';
  }
  int wait() {
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
  int reports_ = -1;
};

void check_killed(Child& child, int number) {
  CHECK(child.next() == '\0');  // it got no further
  const int status = child.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == number);
}

}  // namespace

// A server that takes for ever to drain: 'a' armed, 'c' canceled, 'x' what must not come.
TEST_CASE("child: a server that never drains", "[.never-drains]") {
  Runtime runtime;
  runtime
      .run([] {
        const auto stop = ramie::signal::shutdown();
        report('a');
        const auto waited = ramie::until(stop, [] { return ramie::sleep_for(1h); });
        report(!waited && stop.is_canceled() ? 'c' : 'x');
        const ramie::Shield draining;
        (void)ramie::sleep_for(60s);
        report('x');
      })
      .value();
}

TEST_CASE("child: the token is older than the runtime", "[.early-token]") {
  const auto stop = ramie::signal::shutdown();
  (void)::raise(SIGTERM);
  const bool was_canceled = stop.is_canceled();
  Runtime runtime;
  const auto waited = runtime.run([&] { return ramie::timeout(10s, [&] { return stop.wait(); }); });
  const bool is_same = ramie::signal::shutdown().is_canceled();
  report(!was_canceled && waited && stop.is_canceled() && is_same ? 'c' : 'x');
}

TEST_CASE("child: other listeners hear the first signal too", "[.both-hear]") {
  Runtime runtime;
  const auto heard = runtime.run([] {
    auto terminate = ramie::or_throw(Signal::open(Kind::terminate()));
    const auto stop = ramie::signal::shutdown();
    report('a');
    const auto received = ramie::timeout(10s, [&] { return terminate.recv(); });
    return received.has_value() && ramie::timeout(10s, [&] { return stop.wait(); }).has_value();
  });
  report(heard.value() ? 'c' : 'x');
}

TEST_CASE("S2: the first SIGTERM cancels the shutdown token, the second kills") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  Child child("[.never-drains]");
  REQUIRE(child.next() == 'a');
  child.send(SIGTERM);
  REQUIRE(child.next() == 'c');
  child.send(SIGTERM);
  check_killed(child, SIGTERM);
}

TEST_CASE("S2: SIGINT and SIGTERM count together") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  const auto [first, second] = GENERATE(table<int, int>({{SIGINT, SIGTERM}, {SIGTERM, SIGINT}}));
  Child child("[.never-drains]");
  REQUIRE(child.next() == 'a');
  child.send(first);
  REQUIRE(child.next() == 'c');
  child.send(second);
  check_killed(child, second);
}

TEST_CASE("S1: a shutdown signal that comes before the runtime is kept for it") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  Child child("[.early-token]");
  CHECK(child.next() == 'c');
  CHECK(child.wait() == 0);
}

TEST_CASE("S2: the shutdown token takes the signal from no other listener") {
  if (!ramie_test::starts_own_programs()) RAMIE_SKIP(RAMIE_NO_OWN_PROGRAMS);
  Child child("[.both-hear]");
  REQUIRE(child.next() == 'a');
  child.send(SIGTERM);
  CHECK(child.next() == 'c');
  CHECK(child.wait() == 0);
}
