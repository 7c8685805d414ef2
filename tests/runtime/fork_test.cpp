// fork() beside and inside a runtime: the parent does not notice it, and the child can do no harm
// with its copies of the parent's epolls and rings.
//
// No watchdog here: run_in_child() has its alarm, and must fork before there are threads. (In the
// child of a process with threads, ThreadSanitizer calls epoll_pwait2 twice, and the events of the
// first call are lost.)
#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/text.hpp"
#include "tests/support/uring.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::runtime::Runtime;
using ramie_test::count;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;

namespace {

// Every kind of wait that a fiber can begin in the child, and its end.
struct GoingOn {
  const char* name;
  std::function<void()> act;
};

std::array<GoingOn, 6> ways_to_go_on() {
  return {{
      {"sleep", [] { (void)ramie::sleep_for(1ms); }},
      {"yield", [] { ramie::yield_now(); }},
      {"join", [] { (void)ramie::spawn([] {}).join(); }},
      {"file", [] { (void)ramie::fs::read("/proc/self/stat"); }},
      {"blocking", [] { (void)ramie::spawn_blocking([] {}).join(); }},
      {"end", [] {}},
  }};
}

int wait_for(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child ? status : -1;
}

}  // namespace

TEST_CASE("Fork: a fiber that goes on in the child stops it with a message", "[runtime][fork]") {
  for (const GoingOn& way : ways_to_go_on()) {
    INFO(way.name);
    if (std::string_view(way.name) == "blocking" && !ramie_test::has_threads_in_forks()) {
      ramie_test::say_skipped("by a blocking job: " RAMIE_NO_THREADS_IN_FORKS);
      continue;
    }
    const auto end = run_in_child([&] {
      int status = -1;
      bool is_well = false;
      ramie::or_throw(quiet_builder(2).build()).block_on([&] {
        (void)ramie::fs::read("/proc/self/stat");  // there is a ring, if the kernel has any
        const pid_t child = ::fork();
        if (child == 0) {
          way.act();
          return;
        }
        status = wait_for(child);
        is_well =
            ramie::fs::read("/proc/self/stat").has_value() && ramie::sleep_for(1ms).has_value();
      });
      if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) ::_exit(1);
      if (!is_well) ::_exit(2);
    });
    CHECK(end.exit_status == 0);
    CHECK(end.says("goes on in a forked child"));
  }
}

TEST_CASE("Fork: exec in the child of a fiber works", "[runtime][fork]") {
  const auto end = run_in_child([] {
    int status = -1;
    ramie::or_throw(quiet_builder(2).build()).block_on([&] {
      const pid_t child = ::fork();
      if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
        ::_exit(1);
      }
      status = wait_for(child);
    });
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) ::_exit(1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

TEST_CASE("Fork: in the child the parent's runtime is gone, and a new one works",
          "[runtime][fork]") {
  if (!ramie_test::has_threads_in_forks()) RAMIE_SKIP(RAMIE_NO_THREADS_IN_FORKS);
  const auto end = run_in_child([] {
    std::optional<Runtime> runtime = ramie::or_throw(quiet_builder(2).build());
    runtime->block_on([] { (void)ramie::fs::read("/proc/self/stat"); });
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      if (runtime->spawn([] {}).join().error() != errc::runtime_gone) ::_exit(1);
      if (runtime->handle().spawn_blocking([] {}).join().error() != errc::runtime_gone) ::_exit(2);
      try {
        runtime->block_on([] {});
        ::_exit(3);
      } catch (const std::system_error& error) {
        if (error.code() != errc::runtime_gone) ::_exit(4);
      }
      if (!runtime->handle().dump().empty() || runtime->handle().metrics().workers != 0) ::_exit(5);
      const bool reads = ramie::or_throw(quiet_builder(1).build()).block_on([] {
        return ramie::fs::read("/proc/self/stat").has_value();
      });
      if (!reads) ::_exit(6);
      runtime.reset();  // ends nothing
      ::_exit(0);
    }
    if (const int status = wait_for(child); status != 0) ::_exit(100 + WEXITSTATUS(status));
    const bool is_well = runtime->block_on([] {
      return ramie::sleep_for(1ms).has_value() && ramie::fs::read("/proc/self/stat").has_value();
    });
    if (!is_well) ::_exit(200);
  });
  CHECK(end.exit_status == 0);
  // Without io_uring both print the message about it, and nothing else.
  CHECK(count(end.messages, "\n") == count(end.messages, "ramie: io_uring is off"));
}

// A child that ends by exit() destroys its copies of static streams.
TEST_CASE("Fork: what the child destroys stays registered in the parent", "[runtime][fork]") {
  const bool by_ring = GENERATE(false, true);
  if (by_ring && ramie_test::uring_error() != 0) RAMIE_SKIP("by ring: needs io_uring");
  const auto end = run_in_child([by_ring] {
    auto builder = quiet_builder(1);
    if (by_ring) builder.io(ramie::runtime::IoBackend::uring);
    Runtime runtime = ramie::or_throw(builder.build());
    std::optional<ramie_test::TcpPair> pair;
    runtime.block_on([&] { pair.emplace(ramie_test::tcp_pair()); });
    std::string heard(4, ' ');
    auto reader = runtime.spawn([&] {
      const auto buffer = ramie_test::writable_bytes(heard);
      return ramie::timeout(10s, [&] { return pair->far.read(buffer); });
    });
    std::this_thread::sleep_for(20ms);  // it waits
    const pid_t child = ::fork();
    if (child == 0) {
      const int fd = pair->far.fd();
      pair.reset();
      ::_exit(::fcntl(fd, F_GETFD) == -1 ? 0 : 1);
    }
    if (wait_for(child) != 0) ::_exit(1);
    const bool is_heard = runtime.block_on([&] {
      (void)pair->near.write_all(ramie_test::bytes("ping"));
      const auto read = reader.join();
      return read.has_value() && heard == "ping";
    });
    if (!is_heard) ::_exit(2);
    runtime.block_on([&] { pair.reset(); });
  });
  CHECK(end.exit_status == 0);
}

TEST_CASE("Fork: a blocking job that goes on in the child stops it with a message",
          "[runtime][fork]") {
  const auto end = run_in_child([] {
    int status = -1;
    ramie::or_throw(quiet_builder(1).build()).block_on([&] {
      auto job = ramie::spawn_blocking([&] {
        const pid_t child = ::fork();
        if (child != 0) status = wait_for(child);
      });
      (void)job.join();
    });
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) ::_exit(1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("goes on in a forked child"));
}

TEST_CASE("Fork: a thread that has entered a runtime has none in the child", "[runtime][fork]") {
  const auto end = run_in_child([] {
    auto runtime = ramie::or_throw(quiet_builder(1).build());
    const int ends = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const auto entered = runtime.handle().enter();
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      if (ramie::spawn([] {}).join().error() != errc::no_runtime) ::_exit(1);
      if (ramie::net::TcpStream::from_fd(ends).has_value()) ::_exit(2);
      ::_exit(0);
    }
    if (wait_for(child) != 0) ::_exit(1);
    ::close(ends);
  });
  CHECK(end.exit_status == 0);
}

namespace {

std::atomic<bool> is_inside{false};
std::atomic<bool> may_leave{false};

// Delays the call that is made under the lock of the signal handlers.
int stop_inside(const char* call) noexcept {
  if (std::string_view(call) != "sigaction" || is_inside.exchange(true)) return 0;
  while (!may_leave.load()) std::this_thread::sleep_for(1ms);
  return 0;
}

bool uses_signals() {
  auto builder = quiet_builder(1);
  builder.process_wide(true).dump_signal(ramie::runtime::DumpSignal::usr2);
  auto runtime = builder.build();
  return runtime && runtime->block_on([] {
    auto heard = ramie::signal::Signal::open(ramie::signal::Kind::user1());
    if (RAMIE_TSAN != 0) return heard.has_value();  // it delays handlers while a thread sleeps
    if (!heard || ::kill(::getpid(), SIGUSR1) != 0) return false;
    return ramie::timeout(10s, [&] { return heard->recv(); }).has_value();
  });
}

}  // namespace

// Goal: a child has no lock of the process held. Method: fork while another thread holds the lock;
// the fork waits for that thread.
TEST_CASE("Fork: a child of a plain thread builds a runtime, whichever thread held a lock of ours",
          "[runtime][fork]") {
  if (!ramie_test::has_threads_in_forks()) RAMIE_SKIP(RAMIE_NO_THREADS_IN_FORKS);
  const auto end = run_in_child([] {
    ramie::base::fault_plan.store(&stop_inside, std::memory_order_release);
    std::thread other([] { (void)uses_signals(); });
    while (!is_inside.load()) std::this_thread::sleep_for(1ms);
    std::thread opener([] {
      std::this_thread::sleep_for(50ms);
      may_leave.store(true);
    });
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      may_leave.store(true);
      ::_exit(uses_signals() ? 0 : 1);
    }
    const int status = wait_for(child);
    other.join();
    opener.join();
    ::_exit(status == 0 ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
}

TEST_CASE("Fork: children of a plain thread build runtimes beside a thread that does the same",
          "[runtime][fork]") {
  if (!ramie_test::has_threads_in_forks()) RAMIE_SKIP(RAMIE_NO_THREADS_IN_FORKS);
  const auto end = run_in_child(
      [] {
        std::atomic<bool> stops{false};
        std::thread churn([&] {
          while (!stops.load()) {
            auto runtime = ramie::or_throw(quiet_builder(1).process_wide(true).build());
            runtime.block_on([] {
              (void)ramie::signal::Signal::open(ramie::signal::Kind::user1());
              auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
              (void)ramie::spawn([] { (void)ramie::sleep_for(1us); });
              (void)ramie::runtime::Handle::current().dump().size();
            });
          }
        });
        int bad = 0;
        for (int i = 0; i < 60; ++i) {
          const pid_t child = ::fork();
          if (child == 0) {
            ::alarm(20);
            const auto runtime = ramie::or_throw(quiet_builder(1).process_wide(true).build());
            runtime.block_on([] {
              (void)ramie::signal::Signal::open(ramie::signal::Kind::user1());
              auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
              (void)ramie::sleep_for(100us);
            });
            ::_exit(runtime.handle().dump().empty() ? 1 : 0);
          }
          bad += wait_for(child) != 0;
        }
        stops.store(true);
        churn.join();
        ::_exit(bad == 0 ? 0 : 1);
      },
      120);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Fork: handles of the parent's fibers may be dropped in the child", "[runtime][fork]") {
  const auto end = run_in_child([] {
    const Runtime runtime = ramie::or_throw(quiet_builder(2).build());
    std::atomic<bool> stops{false};
    std::thread churn([&] {  // gives blocks back, under the slab's lock
      while (!stops.load()) (void)runtime.spawn([] {}).join();
    });
    int bad = 0;
    for (int i = 0; i < 100; ++i) {
      std::vector<ramie::JoinHandle<int>> handles;
      for (int k = 0; k < 20; ++k) handles.push_back(runtime.spawn([] { return 1; }));
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(20);
        handles.clear();
        ::_exit(0);
      }
      bad += wait_for(child) != 0;
    }
    stops.store(true);
    churn.join();
    ::_exit(bad == 0 ? 0 : 1);
  });
  CHECK(end.exit_status == 0);
}
