// Tests operations of io_uring from fibers: results, cancels, deadlines, many at once, shutdown.
#include "tests/support/in_runtime.hpp"
#include "tests/uring/support.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <string>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::Result;
using ramie::spawn;
using ramie::uring::Entry;
using ramie_test::error_of;
using ramie_test::in_runtime;
using uring_test::no_operation;
using uring_test::Pipe;
using uring_test::read_from;

TEST_CASE("uring: an operation that ends at once needs no sleep", "[uring]") {
  in_runtime(1, [] {
    REQUIRE(ramie::uring::check().has_value());
    for (int i = 0; i < 1000; ++i) {
      const auto done = no_operation();
      REQUIRE(done.has_value());
      CHECK(done->result == 0);
    }
    const auto figures = ramie::runtime::Handle::current().metrics();
    CHECK(figures.rings == 1);
    CHECK(figures.uring_started == 1000);
    CHECK(figures.uring_completed == 1000);
  });
}

TEST_CASE("uring: a read waits for its data while other fibers run", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      const Pipe pipe;
      auto reader = spawn([&] {
        std::array<char, 16> buffer{};
        const auto n = read_from(pipe.ends[0], buffer.data(), buffer.size());
        return n ? std::string(buffer.data(), static_cast<std::size_t>(n->result)) : "error";
      });
      (void)ramie::sleep_for(2ms);
      CHECK_FALSE(reader.is_finished());
      pipe.put("hello");
      CHECK(reader.join() == "hello");
    });
  }
}

TEST_CASE("uring: errors of the operation are system errors", "[uring]") {
  in_runtime(1, [] {
    char byte = 0;
    CHECK(error_of(read_from(-1, &byte, 1)) == std::errc::bad_file_descriptor);
    const auto bad = ramie::uring::submit([](Entry& entry) { entry.opcode = 250; });
    CHECK(error_of(bad) == std::errc::invalid_argument);
    const auto linked = ramie::uring::submit([](Entry& entry) { entry.flags = 1U << 2U; });
    CHECK(error_of(linked) == std::errc::invalid_argument);
  });
}

TEST_CASE("uring: outside a fiber there is no ring", "[uring]") {
  CHECK(error_of(ramie::uring::check()) == errc::no_runtime);
  CHECK(error_of(no_operation()) == errc::no_runtime);
  CHECK_FALSE(ramie::uring::has_opcode(IORING_OP_READ));
}

TEST_CASE("uring: a cancelled fiber starts no operation", "[uring]") {
  in_runtime(1, [] {
    const Pipe pipe;
    pipe.put("x");
    std::atomic<bool> is_running{false};
    auto reader = spawn([&] {
      is_running = true;
      char byte = 0;
      while (ramie::current::check()) ramie::yield_now();
      return error_of(read_from(pipe.ends[0], &byte, 1));
    });
    while (!is_running) ramie::yield_now();
    reader.cancel();
    CHECK(reader.join() == errc::canceled);
    char byte = 0;
    CHECK(read_from(pipe.ends[0], &byte, 1)->result == 1);  // the byte is still there
  });
}

TEST_CASE("uring: a deadline ends an operation, and its buffer stays unchanged", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      const Pipe pipe;
      for (int i = 0; i < 20; ++i) {
        std::array<char, 8> buffer{};
        const auto n = ramie::timeout(
            1ms, [&] { return read_from(pipe.ends[0], buffer.data(), buffer.size()); });
        CHECK(error_of(n) == errc::timed_out);
        pipe.put("late");
        CHECK(buffer == std::array<char, 8>{});
        CHECK(read_from(pipe.ends[0], buffer.data(), buffer.size())->result == 4);
      }
    });
  }
}

TEST_CASE("uring: a cancel from elsewhere ends an operation on its own ring", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      const Pipe pipe;
      for (int i = 0; i < 200; ++i) {
        auto reader = spawn([&] {
          char byte = 0;
          return error_of(read_from(pipe.ends[0], &byte, 1));
        });
        if (i % 2 == 0) ramie::yield_now();
        reader.cancel();
        const auto end = reader.join();
        CHECK((end == Result<std::error_code>(errc::canceled) ||
               error_of(end) == errc::task_canceled));
      }
    });
  }
}

TEST_CASE("uring: more operations than the ring holds all complete", "[uring]") {
  for (const std::size_t workers : ramie_test::kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr int kFibers = 5000;
      const int gate = ::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
      std::atomic<int> through{0};
      {
        ramie::Scope scope;
        for (int i = 0; i < kFibers; ++i)
          (void)scope.spawn([&] {
            std::uint64_t count = 0;
            if (const auto n = read_from(gate, &count, sizeof count); n && n->result == 8)
              through.fetch_add(1);
          });
        (void)ramie::sleep_for(20ms);
        const std::uint64_t all = kFibers;
        CHECK(::write(gate, &all, sizeof all) == sizeof all);
      }
      CHECK(through == kFibers);
      ::close(gate);
    });
  }
}

TEST_CASE("uring: shutdown ends operations in the kernel", "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  for (const std::size_t workers : {1U, 4U, 64U}) {
    auto runtime = ramie_test::make_runtime(workers);
    const Pipe pipe;
    std::atomic<int> ended{0};
    for (int i = 0; i < 500; ++i)
      runtime
          .spawn([&] {
            char byte = 0;
            while (read_from(pipe.ends[0], &byte, 1)) {
            }
            ended.fetch_add(1);
          })
          .detach();
    CHECK(runtime.shutdown(10s).empty());
    const auto before_first_run = 500 - ended;
    CHECK(before_first_run >= 0);
  }
}
