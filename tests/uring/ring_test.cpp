// Stress tests of a ring: too small, delayed by the kernel, with cancels in every state.
#include "uring/ring.hpp"
#include "tests/fs/support.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/uring/support.hpp"
#include "uring/handle.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::uring::Completion;
using ramie::uring::Entry;
using ramie::uring::Handle;
using ramie::uring::Op;
using ramie::uring::Ring;
using ramie::uring::RingMode;
using ramie_test::error_of;
using ramie_test::Fault;
using ramie_test::in_runtime;
using uring_test::no_operation;
using uring_test::Pipe;
using uring_test::read_from;

namespace {

// A read that may wait for room in the ring, as reads of files do.
ramie::Result<Completion> read_briefly(int fd, void* buffer, std::size_t size) {
  Op op;
  op.is_brief = true;
  op.entry.opcode = IORING_OP_READ;
  op.entry.fd = fd;
  op.entry.address = reinterpret_cast<std::uintptr_t>(buffer);
  op.entry.length = static_cast<std::uint32_t>(size);
  op.entry.offset = uring_test::kOwnPosition;
  return Handle::current()->run(op);
}

template <class F>
void in_small_ring(std::size_t workers, F&& function) {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie::or_throw(ramie_test::quiet_builder(workers).uring_entries(8).build());
  runtime.block_on(std::forward<F>(function));
  CHECK(runtime.shutdown(10s).empty());
}

}  // namespace

TEST_CASE("Ring: each mode is made, or the next one that the kernel accepts", "[uring]") {
  for (const RingMode mode : {RingMode::automatic, RingMode::cooperative, RingMode::plain}) {
    auto ring = Ring::create({.entries = 8, .completions = 0, .mode = mode});
    REQUIRE(ring.has_value());
    CHECK((*ring)->mode() >= mode);
    CHECK((*ring)->opcodes()[IORING_OP_NOP]);
    CHECK_FALSE((*ring)->opcodes()[255]);
    Entry entry;
    entry.opcode = IORING_OP_NOP;
    entry.user_data = 42;
    CHECK((*ring)->push(entry));
    CHECK((*ring)->submit() == 0);
    std::array<ramie::uring::Event, 4> events;
    REQUIRE((*ring)->take(events) == 1);
    CHECK(events[0].tag == 42);
    CHECK((*ring)->wait(1ms) == -ETIME);
  }
}

TEST_CASE("Ring: another thread than the one that made it may use it", "[uring]") {
  const uring_test::Pipe pipe;
  auto ring = Ring::create({.entries = 8});
  REQUIRE(ring.has_value());
  Entry entry;
  entry.opcode = IORING_OP_POLL_ADD;
  entry.fd = pipe.ends[0];
  entry.operation_flags = POLLIN;
  entry.user_data = 1;
  CHECK((*ring)->push(entry));
  CHECK((*ring)->submit() == 0);
  std::array<ramie::uring::Event, 4> events;
  int error = -1;
  std::size_t count = 0;
  std::thread other([&] {
    Entry cancel;
    cancel.opcode = IORING_OP_ASYNC_CANCEL;
    cancel.address = 1;
    cancel.user_data = 2;
    error = (*ring)->push(cancel) ? (*ring)->submit() : -1;
  });
  other.join();
  CHECK(error == 0);
  while (count < 2 && (*ring)->wait(5s) == 0)
    count += (*ring)->take(std::span(events).subspan(count));
  CHECK(count == 2);
}

TEST_CASE("Ring: entries that do not fit are refused, and an overflow of completions loses nothing",
          "[uring]") {
  auto ring = Ring::create({.entries = 4, .completions = 4});
  REQUIRE(ring.has_value());
  Entry entry;
  entry.opcode = IORING_OP_NOP;
  std::uint64_t pushed = 0;
  for (int round = 0; round < 6; ++round) {
    for (entry.user_data = pushed; (*ring)->push(entry); entry.user_data = pushed) ++pushed;
    CHECK((*ring)->submit() == 0);
  }
  CHECK(pushed == 24);
  std::vector<bool> seen(pushed);
  std::array<ramie::uring::Event, 3> events;
  for (int i = 0; i < 100 && (*ring)->has_news(); ++i) {
    (void)(*ring)->submit();
    while (const std::size_t n = (*ring)->take(events))
      for (std::size_t k = 0; k < n; ++k) seen[events[k].tag] = true;
  }
  CHECK(std::count(seen.begin(), seen.end(), true) == 24);
}

TEST_CASE("B69 bursts of four times the completion queue all complete", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_small_ring(workers, [] {
      std::atomic<int> through{0};
      for (int round = 0; round < 20; ++round) {
        ramie::Scope scope;
        for (int i = 0; i < 128; ++i)
          (void)scope.spawn([&] { through += no_operation().has_value() ? 1 : 0; });
      }
      CHECK(through == 20 * 128);
    });
  }
}

TEST_CASE("Operations that wait for room start in order, and a cancelled one never starts",
          "[uring]") {
  in_small_ring(1, [] {
    const int gate = ::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    std::atomic<int> through{0};
    std::atomic<int> ended{0};
    ramie::Scope scope;
    std::vector<ramie::JoinHandle<void>> fibers;
    for (int i = 0; i < 100; ++i)
      fibers.push_back(ramie::spawn([&] {
        std::uint64_t count = 0;
        const auto n = read_briefly(gate, &count, sizeof count);
        if (n) through += n->result == 8 ? 1 : 0;
        else ended += n.error() == errc::canceled ? 1 : 0;
      }));
    while (ramie::runtime::Handle::current().metrics().uring_queued < 84) ramie::yield_now();
    for (std::size_t i = 60; i < 80; ++i) fibers[i].cancel();  // in the queue
    for (std::size_t i = 60; i < 80; ++i) CHECK(fibers[i].join().has_value());
    CHECK(ended == 20);
    CHECK(ramie::runtime::Handle::current().metrics().uring_cancels == 0);
    fibers[3].cancel();  // in the kernel
    CHECK(fibers[3].join().has_value());
    CHECK(ended == 21);
    const std::uint64_t rest = 79;
    CHECK(::write(gate, &rest, sizeof rest) == sizeof rest);
    for (auto& fiber : fibers)
      if (fiber.is_joinable()) CHECK(fiber.join().has_value());
    CHECK(through == 79);
    ::close(gate);
  });
}

TEST_CASE("Enters that the kernel delays are repeated", "[uring]") {
  for (const int error : {EAGAIN, EBUSY, EINTR}) {
    for (const std::size_t workers : {1U, 4U}) {
      CAPTURE(error, workers);
      in_runtime(workers, [&] {
        const Pipe pipe;
        const Fault fault(
            {.calls = {"io_uring_enter"}, .error = error, .times = Fault::kAlways, .every = 2});
        std::atomic<int> through{0};
        ramie::Scope scope;
        for (int i = 0; i < 300; ++i)
          (void)scope.spawn([&] {
            char byte = 0;
            if (const auto n = read_from(pipe.ends[0], &byte, 1)) through += n->result;
            through += no_operation().has_value() ? 1 : 0;
          });
        (void)ramie::sleep_for(5ms);
        for (int i = 0; i < 300; ++i) pipe.put("x");
        CHECK(scope.join().has_value());
        CHECK(through == 600);
        CHECK(fault.hits() > 10);
      });
    }
  }
}

TEST_CASE("After a cancel in any state no byte of the caller's memory changes", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      std::atomic<int> touched{0};
      std::atomic<int> read{0};
      constexpr int kRounds = 300;
      const Pipe pipe;
      for (int i = 0; i < kRounds; ++i) {
        auto reader = ramie::spawn([&] {
          std::array<char, 64> buffer{};
          const auto n = read_from(pipe.ends[0], buffer.data(), buffer.size());
          const std::array<char, 64> then = buffer;
          for (int k = 0; k < 3; ++k) ramie::yield_now();
          if (buffer != then || (!n && buffer != std::array<char, 64>{})) ++touched;
          if (n) read += n->result;
        });
        for (int k = 0; k < i % 4; ++k) ramie::yield_now();
        if (i % 3 == 0) pipe.put("data");
        if (i % 5 == 0) ramie::yield_now();
        reader.cancel();
        if (i % 3 == 1) pipe.put("late");
        (void)reader.join();
      }
      CHECK(touched == 0);
      int sent = 0;
      for (int i = 0; i < kRounds; ++i) sent += i % 3 != 2 ? 4 : 0;
      std::array<char, 4096> rest{};
      while (read < sent) {
        const auto n = read_from(pipe.ends[0], rest.data(), rest.size());
        REQUIRE(n.has_value());
        read += n->result;
      }
      CHECK(read == sent);  // no byte was lost
    });
  }
}

TEST_CASE("Operations that may wait for others take no room from brief ones", "[uring]") {
  in_small_ring(1, [] {
    const Pipe pipe;
    std::vector<ramie::JoinHandle<bool>> readers;
    for (int i = 0; i < 40; ++i)  // 16 brief ones fill the ring
      readers.push_back(ramie::spawn([&] {
        auto file = ramie::fs::File::from_fd(::dup(pipe.ends[0]));
        std::array<std::byte, 1> buffer{};
        const auto n = file.read(buffer);
        return n && *n == 1;
      }));
    (void)ramie::sleep_for(5ms);
    CHECK(ramie::timeout(5s, [] { return no_operation(); }).has_value());
    for (int i = 0; i < 40; ++i) pipe.put("x");
    for (auto& reader : readers) CHECK(reader.join() == true);
  });
}

TEST_CASE("A file operation of a fiber that moves to a worker without a ring is done", "[uring]") {
  const auto end = ramie_test::run_in_child([] {
    auto builder = ramie_test::quiet_builder(4);
    builder.chaos(3);  // fibers migrate at every park
    auto runtime = ramie::or_throw(builder.build());
    runtime.block_on([&] {
      ramie_test::Folder folder;
      ramie_test::put(folder / "file", ramie_test::pattern(200'000));
      auto file = ramie::or_throw(ramie::fs::File::open(folder / "file"));
      // UBSan needs descriptors when it sees a new type, so it sees these now.
      (void)ramie::spawn_blocking([] {}).join();
      for (const std::error_code code :
           {std::error_code(EIO, std::system_category()), std::make_error_code(std::errc::io_error),
            std::error_code(ramie::errc::canceled)})
        (void)(code == std::errc::io_error);
      const rlimit none{0, 4096};  // no descriptor is left for another ring
      if (::setrlimit(RLIMIT_NOFILE, &none) != 0) ::_exit(1);
      std::atomic<int> wrong{0};
      {
        ramie::Scope scope;
        for (int i = 0; i < 8; ++i)
          (void)scope.spawn([&] {
            std::vector<std::byte> buffer(100'000);
            for (int k = 0; k < 300; ++k) wrong += file.read_at(buffer, 0).has_value() ? 0 : 1;
          });
      }
      if (wrong != 0) ::_exit(2);
      const rlimit some{4096, 4096};  // to remove the folder
      (void)::setrlimit(RLIMIT_NOFILE, &some);
    });
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
}
