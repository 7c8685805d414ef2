// Tests lasting faults: calls that always fail, faults that must stop the program, and slow calls.
#include "sched/base/assert.hpp"
#include "tests/faults/scenario.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

}  // namespace

// A sandbox may refuse accept for ever. A listener that retries without a pause would keep its only
// worker for ever, and not even its deadline would end it.
TEST_CASE("accept: it pauses while it is refused, and deadlines still pass") {
  for (const char* refusal : {"EPERM", "ECONNABORTED", "ENETDOWN", "EMFILE", "ENOMEM"}) {
    CAPTURE(refusal);
    in_runtime(1, [&] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      const RawSocket client = RawSocket::connect(*listener.local_addr());
      const PlannedFaults faults("accept4 1.. " + std::string(refusal));
      auto other = ramie::spawn([] { return ramie::sleep_for(1ms); });
      const auto ended = ramie::timeout(100ms, [&] { return listener.accept(); });
      CHECK(error_of(ended) == errc::timed_out);
      CHECK(other.join().has_value());
      CHECK(faults.hits() > 0);
      CHECK(faults.hits() < 1000);
    });
  }
}

// The kernel takes a descriptor before it looks for a connection. Without any it returns EMFILE for
// an empty queue too. If that used the reserve, the next client would get no answer.
TEST_CASE("accept: without descriptors and without clients it waits and prints nothing") {
  const ChildEnd end = run_in_child([] {
    const auto runtime = make_runtime(1);
    const int failed = runtime.block_on([] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      const auto address = *listener.local_addr();
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      // UBSan needs descriptors when it sees a new type, such as that of the error below.
      if (error_of(ramie::timeout(1ms, [&] { return listener.accept(); })) != errc::timed_out)
        return 8;
      const rlimit none{3, 4096};  // no free descriptor
      if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
      const PlannedFaults counter("accept4 4000000000 EIO");
      auto accepted = ramie::timeout(300ms, [&] { return listener.accept(); });
      if (error_of(accepted) != errc::timed_out) return 2;
      if (counter.calls() > 2) return 3;
      (void)std::fputs("and now a client\n", stderr);
      if (::connect(client, static_cast<const sockaddr*>(address.raw()),
                    static_cast<socklen_t>(address.raw_size())) != 0)
        return 4;
      const rlimit some{64, 4096};
      accepted = ramie::timeout(300ms, [&] { return listener.accept(); });
      if (accepted) return 5;
      if (::setrlimit(RLIMIT_NOFILE, &some) != 0) return 6;
      accepted = ramie::timeout(5s, [&] { return listener.accept(); });
      return accepted ? 0 : 7;
    });
    ::_exit(failed);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.messages.starts_with("and now a client\n"));
}

TEST_CASE("A driver whose epoll is closed stops the program with a message") {
  for (const char* error : {"EBADF", "EINVAL", "EFAULT"}) {
    const std::string plan =
        std::string("epoll_wait 20.. ") + error + "; epoll_pwait2 20.. " + error;
    const ChildEnd end = run_in_child([&] {
      const PlannedFaults faults(plan);
      const auto runtime = make_runtime(2);
      runtime.block_on([] {
        TcpPair pair = tcp_pair();
        const auto reader = ramie::spawn([&] {
          std::byte one{};
          return pair.near.read(std::span(&one, 1));  // would wait for ever
        });
        for (;;) (void)ramie::sleep_for(1ms);
      });
    });
    INFO(end.messages);
    CHECK(end.signal == SIGABRT);
    CHECK(end.says("ramie: fatal: the runtime's epoll failed"));
  }
}

// It does not spin, and every timer, wake and shutdown still works, however late.
TEST_CASE("A driver whose epoll fails for a while reports that once and goes on") {
  const ChildEnd end = run_in_child([] {
    const auto runtime = make_runtime(2);
    runtime.block_on([] {
      const PlannedFaults faults("epoll_wait 1..40 ENOMEM; epoll_pwait2 1..40 ENOMEM");
      TcpPair pair = tcp_pair();
      auto reader = ramie::spawn([&] {
        std::byte one{};
        return pair.near.read(std::span(&one, 1));
      });
      (void)ramie::sleep_for(30ms);
      if (!pair.far.write_all(bytes("x"))) ::_exit(1);
      if (!reader.join()) ::_exit(2);
      if (faults.hits(0) + faults.hits(1) == 0) ::_exit(3);
    });
  });
  CHECK(end.exit_status == 0);
  INFO(end.messages);
  CHECK(end.messages.find("epoll failed") != std::string::npos);
  CHECK(end.messages.find("epoll failed") == end.messages.rfind("epoll failed"));
}

// Otherwise the first descriptors of the runtime would be 0 to 2, and a message would go into a
// client's connection.
TEST_CASE("A process without standard descriptors gets /dev/null for them if it is allowed") {
  for (const bool is_process_wide : {true, false}) {
    CAPTURE(is_process_wide);
    const ChildEnd end = run_in_child([&] {
      for (const int fd : {0, 1, 2}) ::close(fd);
      ramie::runtime::Builder builder;
      builder.ignore_environment(true).process_wide(is_process_wide).workers(1);
      const auto runtime = ramie::or_throw(builder.build());
      struct stat null{};
      if (::stat("/dev/null", &null) != 0) ::_exit(1);
      for (const int fd : {0, 1, 2}) {
        struct stat found{};
        const bool is_open = ::fstat(fd, &found) == 0;
        if ((is_open && found.st_rdev == null.st_rdev) != is_process_wide) ::_exit(2 + fd);
      }
      if (is_process_wide && ::write(2, "x", 1) != 1) ::_exit(5);
    });
    CHECK(end.exit_status == 0);
  }
}

TEST_CASE("An exception that is no std::exception is thrown by join(), or reported") {
  const ChildEnd end = run_in_child([] {
    const auto runtime = make_runtime(1);
    const int caught = runtime.block_on([] {
      std::atomic<bool> has_begun{false};
      ramie::spawn([&] {
        has_begun = true;
        throw 42;
      }).detach();
      while (!has_begun) ramie::yield_now();
      auto thrower = ramie::spawn([] { throw 43; });
      try {
        (void)thrower.join();
      } catch (int value) {
        return value;
      }
      return 0;
    });
    if (caught != 43) ::_exit(1);
  });
  CHECK(end.exit_status == 0);
  CHECK(end.says("that nobody joins; it is no std::exception"));
}

TEST_CASE("A worker thread that is ended from outside stops the program with a message") {
  const ChildEnd end = run_in_child([] {
    const auto runtime = make_runtime(1);
    runtime.block_on([] {
      ::pthread_cancel(::pthread_self());
      ::pthread_testcancel();
    });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("a worker thread was ended from outside (pthread_cancel)"));
}

TEST_CASE("A message is written whole although signals interrupt the write or split it") {
  for (const char* plan :
       {"write 1..3 EINTR", "write 1.. short=7", "write 2 EINTR; write 1 short=9"}) {
    CAPTURE(plan);
    const ChildEnd end = run_in_child([&] {
      const PlannedFaults faults(plan);
      ramie::base::warn("a message of %d words and no more", 8);
    });
    CHECK(end.messages == "ramie: a message of 8 words and no more\n");
  }
}

TEST_CASE("Slow calls: only their callers wait for them, and nothing is lost") {
  in_runtime(2, [] {
    const PlannedFaults faults(
        "write_eventfd every=3 delay=2ms; futex_wake every=3 delay=2ms; epoll_ctl every=2 "
        "delay=1ms;"
        "accept4 every=2 delay=2ms; close every=2 delay=1ms; getaddrinfo 1 delay=50ms");
    const auto look_up = [] { return ramie::net::lookup_host(faults::kName + ":80"); };
    auto looking = ramie::spawn(look_up);
    const auto impatient = ramie::timeout(5ms, look_up);
    CHECK((impatient.has_value() || impatient.error() == errc::timed_out));
    for (int i = 0; i < 10; ++i) {
      TcpPair pair = tcp_pair();
      auto reader = ramie::spawn([&] {
        std::byte one{};
        return pair.near.read(std::span(&one, 1));
      });
      CHECK(pair.far.write_all(bytes("x")).has_value());
      CHECK(reader.join() == 1U);
    }
    CHECK(looking.join().has_value());
    CHECK(faults.hits(2) > 0);
    CHECK(faults.hits(5) == 1);
  });
}

TEST_CASE(
    "Threads: a runtime without threads returns an error; the pool uses the threads that it has") {
  const std::size_t before = open_descriptors();
  for (const char* plan : {"clone 1 EAGAIN", "clone 2 EAGAIN", "clone 4.. EAGAIN"}) {
    const PlannedFaults faults(plan);
    ramie::runtime::Builder builder;
    builder.ignore_environment(true).process_wide(false).workers(4);
    auto runtime = builder.build();
    REQUIRE_FALSE(runtime.has_value());
    CHECK(runtime.error() == std::errc::resource_unavailable_try_again);
  }
  CHECK(open_descriptors() == before);
  in_runtime(2, [] {
    {
      const PlannedFaults none("clone 1.. EAGAIN");
      auto job = ramie::spawn_blocking([] { return 1; });
      CHECK(error_of(job.join()) == std::errc::resource_unavailable_try_again);
    }
    const PlannedFaults one("clone 2.. EAGAIN");
    std::vector<ramie::JoinHandle<int>> jobs;
    for (int i = 0; i < 8; ++i)
      jobs.push_back(ramie::spawn_blocking([i] {
        std::this_thread::sleep_for(1ms);
        return i;
      }));
    for (int i = 0; i < 8; ++i) CHECK(jobs[static_cast<std::size_t>(i)].join() == i);
    CHECK(one.hits() > 0);
  });
}
