// Tests the driver alone, without fibers: turns, unparks, generations, and the end of
// registrations.
#include "io/driver.hpp"
#include "tests/support/fault.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/socket_pair.hpp"
#include "tests/support/watchdog.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ramie::base::Nanos;
using ramie::io::Driver;
using ramie::io::Interest;
using ramie::io::IoState;
using ramie::io::ScheduledIo;
using ramie_test::Fault;
using ramie_test::SocketPair;
using ramie_test::Watchdog;

using ramie_test::kBoth;

Driver::Owner make_driver() { return ramie::or_throw(Driver::create()); }

void turn(Driver& driver, Nanos max_wait = Nanos(0)) {
  ramie::sched::FiberList out;
  driver.turn(max_wait, out);
  REQUIRE(out.is_empty());
}

std::uint64_t stale(const Driver& driver) { return driver.metrics().stale.load(); }

}  // namespace

TEST_CASE("Driver: an unpark just before the wait is not lost") {
  const Watchdog watchdog(60s);
  auto driver = make_driver();
  for (int i = 0; i < 10'000; ++i) {
    driver->unpark();
    turn(*driver, Nanos(-1));  // would sleep for ever
  }
}

TEST_CASE("Driver: an unpark that races with the wait is not lost") {
  const Watchdog watchdog(60s);
  auto driver = make_driver();
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::thread bell([&] {
    for (int i = 0; i < 10'000; ++i) {
      while (answered.load() < i) std::this_thread::yield();
      asked.store(i + 1);
      driver->unpark();
    }
  });
  for (int i = 0; i < 10'000; ++i) {
    while (asked.load() <= i) turn(*driver, Nanos(-1));
    answered.store(i + 1);
  }
  bell.join();
  CHECK(driver->metrics().unparks.load() == 10'000);
}

TEST_CASE("Driver: a turn sleeps for its limit, finer than a millisecond and never less") {
  if (::syscall(SYS_epoll_pwait2, -1, nullptr, 0, nullptr, nullptr, 0) == -1 && errno == ENOSYS)
    RAMIE_SKIP("needs epoll_pwait2");
  auto driver = make_driver();
  turn(*driver);  // takes events from the creation
  for (const Nanos wait : {Nanos(0), Nanos(200us), Nanos(3ms)}) {
    Nanos best = 10s;
    for (int i = 0; i < 20; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      turn(*driver, wait);
      const Nanos took = std::chrono::steady_clock::now() - begin;
      CHECK(took >= wait);
      best = std::min(best, took);
    }
    CHECK(best < wait + 700us);  // rounding up to milliseconds would miss it
  }
}

TEST_CASE("Driver: an event of an earlier generation is dropped") {
  auto driver = make_driver();
  SocketPair first;
  SocketPair second;
  auto* old = ramie::or_throw(driver->add_source(first.fds[0], kBoth));
  turn(*driver);
  // The kernel watches the open file, and a copy of the descriptor keeps the file alive. So a close
  // before the deregistration leaves it in the epoll with the old token.
  const int copy = ::dup(first.fds[0]);
  ::close(first.fds[0]);
  CHECK(driver->deregister_source(*old).has_value());
  first.fds[0] = copy;
  turn(*driver);  // releases the slot
  auto* reused = ramie::or_throw(driver->add_source(second.fds[0], kBoth));
  REQUIRE(reused == old);
  turn(*driver);
  CHECK(reused->state().load().ready() == IoState::kWritable);
  const std::uint64_t before = stale(*driver);
  first.send(1);
  turn(*driver);
  CHECK(stale(*driver) == before + 1);
  CHECK(reused->state().load().ready() == IoState::kWritable);
  second.send(1);
  turn(*driver);
  CHECK(reused->state().load().ready() == (IoState::kWritable | IoState::kReadable));
  CHECK(driver->deregister_source(*reused).has_value());
}

TEST_CASE("Driver: a slot is reused only after a turn") {
  auto driver = make_driver();
  SocketPair pair;
  auto* first = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  CHECK(driver->deregister_source(*first).has_value());
  auto* second = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  CHECK(second != first);
  CHECK(driver->deregister_source(*second).has_value());
  turn(*driver);
  auto* third = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  CHECK((third == first || third == second));
  CHECK(driver->deregister_source(*third).has_value());
}

TEST_CASE("Driver: pending registrations unpark the driver, once for each batch") {
  auto driver = make_driver();
  SocketPair pair;
  turn(*driver);
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 16; ++i) {
      CHECK(driver->metrics().unparks.load() == static_cast<std::uint64_t>(round - 1));
      auto* io = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
      CHECK(driver->deregister_source(*io).has_value());
    }
    CHECK(driver->metrics().unparks.load() == static_cast<std::uint64_t>(round));
    turn(*driver);
    turn(*driver);
  }
}

TEST_CASE("B61 Driver: registrations that come and go reuse their slots") {
  const std::size_t rounds = 200'000;
  auto driver = make_driver();
  SocketPair pair;
  std::size_t before = 0;
  std::vector<ScheduledIo*> seen;
  for (std::size_t i = 0; i < rounds; ++i) {
    auto* io = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
    if (i < 64) seen.push_back(io);
    REQUIRE(driver->deregister_source(*io).has_value());
    if (i % 16 == 15) turn(*driver);
    if (i == rounds / 10) before = ramie_test::resident_bytes();
  }
  CHECK(ramie_test::resident_bytes() < before + 256 * 1024);
  CHECK(driver->metrics().registered.load() == rounds);
  CHECK(driver->metrics().deregistered.load() == rounds);
}

TEST_CASE("Driver: a failed registration leaves nothing behind") {
  auto driver = make_driver();
  SocketPair pair;
  const std::size_t before = ramie_test::resident_bytes();
  {
    const Fault fault({.calls = {"epoll_ctl"}, .error = ENOSPC, .times = Fault::kAlways});
    for (int i = 0; i < 20'000; ++i) {
      const auto added = driver->add_source(pair.fds[0], kBoth);
      REQUIRE_FALSE(added.has_value());
      REQUIRE(added.error() == std::errc::no_space_on_device);
    }
    CHECK(fault.hits() == 20'000);
  }
  CHECK(ramie_test::resident_bytes() < before + 256 * 1024);
  CHECK(driver->metrics().registered.load() == 0);
  auto* io = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  turn(*driver);
  CHECK(io->state().load().ready() == IoState::kWritable);
  CHECK(driver->deregister_source(*io).has_value());
}

TEST_CASE("Driver: more ready descriptors than one turn takes are served in the next turns") {
  constexpr std::size_t kCount = Driver::kMaxEvents * 3;
  if (!ramie_test::raise_descriptor_limit(kCount + 100))
    RAMIE_SKIP("needs thousands of descriptors");
  auto driver = make_driver();
  std::vector<int> fds;
  std::vector<ScheduledIo*> ios;
  for (std::size_t i = 0; i < kCount; ++i) {
    fds.push_back(::eventfd(1, EFD_NONBLOCK));
    REQUIRE(fds.back() >= 0);
    ios.push_back(ramie::or_throw(driver->add_source(fds.back(), Interest::readable)));
  }
  for (int i = 0; i < 4; ++i) turn(*driver);
  std::size_t ready = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (ios[i]->state().load().ready() == IoState::kReadable) ++ready;
    CHECK(driver->deregister_source(*ios[i]).has_value());
    ::close(fds[i]);
  }
  CHECK(ready == kCount);
}

TEST_CASE("Driver: an interrupted wait is a turn without events") {
  auto driver = make_driver();
  SocketPair pair;
  auto* io = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  {
    const Fault fault({.calls = {"epoll_wait", "epoll_pwait2"}, .error = EINTR});
    turn(*driver);
    CHECK(fault.hits() == 1);
    CHECK(io->state().load().ready() == 0);
  }
  turn(*driver);
  CHECK(io->state().load().ready() == IoState::kWritable);
  CHECK(driver->deregister_source(*io).has_value());
}

TEST_CASE("Poller: an interruption is no error, anything else is") {
  auto poller = ramie::or_throw(ramie::io::sys::Poller::create(16));
  std::vector<ramie::io::sys::Event> events;
  for (const auto& [error, said] : {std::pair{EINTR, 0}, std::pair{EBADF, -EBADF}}) {
    const Fault fault({.calls = {"epoll_wait"}, .error = error});
    CHECK(poller.wait(Nanos(-1), events) == said);
    CHECK(events.empty());
  }
}

TEST_CASE("Driver: creation fails cleanly when any call fails") {
  const std::size_t before = ramie_test::open_descriptors();
  for (const char* call : {"epoll_create1", "eventfd", "epoll_ctl"}) {
    CAPTURE(call);
    const Fault fault({.calls = {call}, .error = EMFILE});
    const auto driver = Driver::create();
    REQUIRE_FALSE(driver.has_value());
    CHECK(driver.error() == std::errc::too_many_files_open);
    CHECK(ramie_test::open_descriptors() == before);
  }
}

TEST_CASE("Driver: it ends with the last registration, not before") {
  const std::size_t before = ramie_test::open_descriptors();
  SocketPair pair;
  auto driver = make_driver();
  Driver* raw = driver.get();
  auto* io = ramie::or_throw(driver->add_source(pair.fds[0], kBoth));
  driver.reset();
  CHECK(ramie_test::open_descriptors() == before + 4);  // the pair, the epoll, its eventfd
  CHECK(raw->deregister_source(*io).has_value());
  CHECK(ramie_test::open_descriptors() == before + 2);
}

TEST_CASE("Driver: its descriptors close on exec") {
  // Also descriptors below 3, if the process was started without them.
  constexpr int kMost = 256;
  std::array<bool, kMost> is_older{};
  for (int fd = 0; fd < kMost; ++fd)
    is_older[static_cast<std::size_t>(fd)] = ::fcntl(fd, F_GETFD) >= 0;
  auto driver = make_driver();
  int checked = 0;
  for (int fd = 0; fd < kMost; ++fd) {
    if (is_older[static_cast<std::size_t>(fd)]) continue;
    char link[64];
    char name[64];
    (void)std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = ::readlink(link, name, sizeof name);
    if (n <= 0 || !std::string_view(name, static_cast<std::size_t>(n)).starts_with("anon_inode:["))
      continue;
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    ++checked;
  }
  CHECK(checked >= 2);  // the epoll and its eventfd
}
