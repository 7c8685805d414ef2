// Tests Registration: what can be registered, the errors if it cannot, and what the end of a
// registration does to its waiters.
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/socket_pair.hpp"

#include <ramie/io.hpp>
#include <ramie/scope.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::io::Interest;
using ramie::io::Ready;
using ramie::io::Registration;
using ramie::sched::WaitKind;

using ramie_test::kBoth;

}  // namespace

TEST_CASE("Ready: the names of its bits") {
  CHECK(Ready().to_string() == "(empty)");
  CHECK(Ready(Ready::kReadable).to_string() == "READABLE");
  CHECK(Ready(Ready::kAll).to_string() ==
        "READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | PRIORITY | ERROR");
  CHECK(Ready(Ready::kAll).masked_by(Interest::writable).to_string() == "WRITABLE | WRITE_CLOSED");
}

TEST_CASE("B31 Registration: outside a runtime it returns no_runtime") {
  SocketPair pair;
  const auto made = Registration::create(pair.fds[0], kBoth);
  REQUIRE_FALSE(made.has_value());
  CHECK(error_of(made) == errc::no_runtime);
}

TEST_CASE("Registration: an empty one returns bad_file_descriptor from every operation") {
  in_runtime(1, [] {
    Registration none;
    CHECK_FALSE(none.is_registered());
    CHECK(error_of(none.readiness(kBoth)) == std::errc::bad_file_descriptor);
    const auto operation = [] { return ramie::Result<int>(1); };
    CHECK(error_of(none.io(kBoth, operation)) == std::errc::bad_file_descriptor);
    CHECK(error_of(none.try_io(kBoth, operation)) == std::errc::bad_file_descriptor);
    CHECK(none.deregister().has_value());
  });
}

TEST_CASE("Registration: a descriptor is registered once, and the first registration stays valid") {
  in_runtime(1, [] {
    SocketPair pair;
    auto first = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    for (int i = 0; i < 100; ++i) {
      const auto second = Registration::create(pair.fds[0], kBoth);
      REQUIRE_FALSE(second.has_value());
      CHECK(error_of(second) == errc::already_registered);
      CHECK(error_of(second) == std::errc::file_exists);
    }
    CHECK(first.readiness(Interest::writable).has_value());
    const auto metrics = ramie::runtime::Handle::current().metrics();
    CHECK(metrics.io_registered - metrics.io_deregistered == 1);
  });
}

TEST_CASE("Registration: regular files and closed descriptors are refused, and nothing leaks") {
  in_runtime(1, [] {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(file >= 0);
    CHECK(error_of(Registration::create(file, Interest::readable)) ==
          std::errc::operation_not_permitted);
    ::close(file);
    CHECK(error_of(Registration::create(file, kBoth)) == std::errc::bad_file_descriptor);
    CHECK(error_of(Registration::create(-1, kBoth)) == std::errc::bad_file_descriptor);
    const auto metrics = ramie::runtime::Handle::current().metrics();
    CHECK(metrics.io_registered == 0);
    CHECK(metrics.io_deregistered == 0);
  });
}

TEST_CASE("Registration: an error of epoll_ctl is returned, and the next attempt works") {
  in_runtime(1, [] {
    SocketPair pair;
    for (const int error : {ENOSPC, ENOMEM, EPERM}) {
      const Fault fault({.calls = {"epoll_ctl"}, .error = error});
      CHECK(Registration::create(pair.fds[0], kBoth).error().value() == error);
      CHECK(Registration::create(pair.fds[0], kBoth).has_value());
    }
  });
}

TEST_CASE("B58 Registration: a descriptor can be deregistered and registered again") {
  in_runtime(2, [] {
    SocketPair pair;
    for (int i = 0; i < 200; ++i) {
      auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
      REQUIRE(registration.readiness(Interest::writable).has_value());
      REQUIRE(::write(pair.fds[1], "x", 1) == 1);
      REQUIRE(registration.readiness(Interest::readable)->is_readable());
      char byte = 0;
      REQUIRE(::read(pair.fds[0], &byte, 1) == 1);
      if (i % 2 == 0) REQUIRE(registration.deregister().has_value());
    }
    CHECK(::fcntl(pair.fds[0], F_GETFD) >= 0);  // the descriptor stays open
  });
}

TEST_CASE("Registration: a descriptor that was closed first is no error") {
  in_runtime(1, [] {
    SocketPair pair;
    const int copy = ::dup(pair.fds[0]);
    auto registration = ramie::or_throw(Registration::create(copy, kBoth));
    ::close(copy);
    CHECK(registration.deregister().has_value());
    CHECK(registration.deregister().has_value());
  });
}

TEST_CASE("Registration: its end ends the waits of others with canceled") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      SocketPair pair;
      auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
      std::vector<ramie::JoinHandle<ramie::Result<Ready>>> waiting;
      for (int i = 0; i < 40; ++i)
        waiting.push_back(ramie::spawn([&] { return registration.readiness(Interest::readable); }));
      REQUIRE(until_parked(WaitKind::io, 40));
      REQUIRE(registration.deregister().has_value());
      for (auto& one : waiting) CHECK(error_of(one.join()) == errc::canceled);
    });
  }
}

// Goal: a fiber that the end woke, but that runs only when the slot has a new registration, still
//   sees the end and does not wait for events of the new registration.
// Method: the driver takes a turn before every fiber, so the slot is free again at once. The first
//   of the waiters takes it.
TEST_CASE("Registration: its waiters see its end although its slot is reused already") {
  const Watchdog watchdog(std::chrono::seconds(60));
  ramie::runtime::Builder builder;
  builder.ignore_environment(true).process_wide(false).workers(1).event_interval(1);
  auto runtime = ramie::or_throw(builder.build());
  runtime.block_on([] {
    SocketPair pair;
    std::array<SocketPair, 8> others;
    std::array<std::optional<Registration>, 8> next_owners;
    auto registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
    std::vector<ramie::JoinHandle<ramie::Result<Ready>>> waiting;
    for (std::size_t i = 0; i < others.size(); ++i)
      waiting.push_back(ramie::spawn([&, i] {
        auto seen = registration.readiness(Interest::readable);
        next_owners[i] = ramie::or_throw(Registration::create(others[i].fds[0], kBoth));
        return seen;
      }));
    REQUIRE(until_parked(WaitKind::io, others.size()));
    REQUIRE(registration.deregister().has_value());
    for (auto& one : waiting) {
      const auto seen = ramie::timeout(20s, [&] { return one.join(); });
      CHECK(error_of(seen) == errc::canceled);
      one.cancel();
    }
  });
}

TEST_CASE("Registration: it may outlive its runtime; waits then return shutting_down") {
  open_reserve();
  const std::size_t before = open_descriptors();
  {
    SocketPair pair;
    std::optional<Registration> kept;
    {
      auto runtime = make_runtime(2);
      runtime.block_on([&] { kept = ramie::or_throw(Registration::create(pair.fds[0], kBoth)); });
    }
    const Watchdog watchdog(std::chrono::seconds(20));
    CHECK(error_of(kept->readiness(Interest::priority)) == errc::shutting_down);
    CHECK(kept->deregister().has_value());
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("B53 many plain threads all wake on one event") {
  open_reserve();
  const Watchdog watchdog(std::chrono::seconds(20));
  SocketPair pair;
  auto runtime = make_runtime(1);
  auto registration =
      runtime.block_on([&] { return ramie::or_throw(Registration::create(pair.fds[0], kBoth)); });
  std::atomic<int> woken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 70; ++i)
    threads.emplace_back([&] {
      if (registration.readiness(Interest::readable)) ++woken;
    });
  std::this_thread::sleep_for(20ms);
  REQUIRE(::write(pair.fds[1], "x", 1) == 1);
  for (std::thread& thread : threads) thread.join();
  CHECK(woken == 70);
}

TEST_CASE("Registration: a plain thread waits by blocking, and is woken by data and by the end") {
  open_reserve();
  const Watchdog watchdog(std::chrono::seconds(20));
  SocketPair pair;
  auto runtime = make_runtime(1);
  std::optional<Registration> registration;
  {
    const auto entered = runtime.enter();
    registration = ramie::or_throw(Registration::create(pair.fds[0], kBoth));
  }
  ramie::Result<Ready> data;
  std::thread reader([&] { data = registration->readiness(Interest::readable); });
  std::this_thread::sleep_for(5ms);
  REQUIRE(::write(pair.fds[1], "x", 1) == 1);
  reader.join();
  CHECK(data->is_readable());
  ramie::Result<Ready> end;
  std::thread waiter([&] { end = registration->readiness(Interest::priority); });
  std::this_thread::sleep_for(5ms);
  CHECK(runtime.shutdown(5s).empty());
  waiter.join();
  CHECK(error_of(end) == errc::shutting_down);
}
