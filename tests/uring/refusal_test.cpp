// Tests a process where io_uring is denied: the program works, one line gives the reason, and a
// metric shows it. If the configuration requires io_uring, no runtime is built.
#include "tests/faults/confine.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/text.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>
#include "runtime/fs/calls.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <unistd.h>
#include <string>

using ramie::errc;
using ramie::Result;
using ramie::fs::Calls;
using ramie::fs::Count;
using ramie::runtime::FileBackend;
using ramie::runtime::IoBackend;
using ramie_test::automatic_builder;
using ramie_test::count;
using ramie_test::run_in_child;

namespace {

// Reads the length of /proc/self/comm through the seam of all file operations. Returns it or
// -errno.
Result<Count> read_a_file() {
  return ramie::fs::run([](Calls& calls) -> Result<Count> {
    const int fd = ::open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    char text[64];
    const Count n = calls.perform(
        IORING_OP_READ,
        [&](ramie::uring::Entry& entry) {
          entry.fd = fd;
          entry.address = reinterpret_cast<std::uintptr_t>(text);
          entry.length = sizeof text;
        },
        [&]() -> Count { return ::read(fd, text, sizeof text); });
    ::close(fd);
    if (n < 0) return ramie::failure(calls.code(n));
    return n;
  });
}

constexpr const char* kErrnos[] = {"EPERM",  "EACCES", "ENOSYS", "EINVAL",
                                   "ENOMEM", "EMFILE", "ENFILE"};

}  // namespace

TEST_CASE(
    "uring: if it is denied by any errno, files work, one line gives the reason, a metric shows it",
    "[uring]") {
  for (const std::string error : kErrnos) {
    CAPTURE(error);
    const auto end = run_in_child([&] {
      faults::deny("io_uring_setup=" + error);
      auto runtime = ramie::or_throw(automatic_builder(2).build());
      const bool is_right = runtime.block_on([&] {
        for (int i = 0; i < 3; ++i)
          if (!read_a_file() || *read_a_file() <= 0) return false;
        const auto figures = runtime.metrics();
        const bool passes = error == "ENOMEM" || error == "EMFILE" || error == "ENFILE";
        const int number = faults::detail::number_of_errno(error);
        return figures.rings == 0 && figures.fs_uring == 0 && figures.fs_pool == 6 &&
               figures.uring_refusal == (passes ? 0 : number) && !ramie::uring::check();
      });
      if (!is_right) ::_exit(1);
    });
    CAPTURE(end.messages);
    CHECK(end.exit_status == 0);
    CHECK(count(end.messages, "\n") == 1);
    CHECK(end.says("io_uring is off"));
    CHECK(end.says(" for now ") == (error == "ENOMEM" || error == "EMFILE" || error == "ENFILE"));
  }
}

TEST_CASE("uring: no runtime is built if io_uring is required and denied", "[uring]") {
  const auto end = run_in_child([] {
    faults::deny("io_uring_setup=EPERM");
    auto sockets = automatic_builder(1).io(IoBackend::uring).build();
    auto files = automatic_builder(1).files(FileBackend::uring).build();
    const std::error_code wanted(EPERM, std::system_category());
    if (sockets || sockets.error() != wanted || files || files.error() != wanted) ::_exit(1);
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("RAMIE_IO=uring: io_uring cannot be used here: Operation not permitted"));
  CHECK(end.says("RAMIE_FS=uring"));
}

TEST_CASE("uring: if it is turned off, the kernel is not asked", "[uring]") {
  const auto end = run_in_child([] {
    faults::deny("io_uring_setup=EPERM");
    for (const bool by_io : {true, false}) {
      auto builder = automatic_builder(1);
      if (by_io) builder.io(IoBackend::epoll);
      else builder.files(FileBackend::pool);
      auto runtime = ramie::or_throw(builder.build());
      runtime.block_on([&] {
        if (!read_a_file() || runtime.metrics().fs_pool != 1) ::_exit(1);
        if (by_io && ramie::uring::check().error() != errc::unsupported) ::_exit(2);
      });
    }
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

TEST_CASE("uring: files use the ring if there is one", "[uring]") {
  ramie_test::in_runtime_of(automatic_builder(1), [] {
    REQUIRE(read_a_file().has_value());
    const auto figures = ramie::runtime::Handle::current().metrics();
    CHECK(figures.fs_uring == 1);
    CHECK(figures.fs_pool == 0);
  });
}

// A kernel that does not report its opcodes counts as having none.
TEST_CASE("uring: a call with a missing opcode is a job of the pool; other opcodes work",
          "[uring]") {
  const auto end = run_in_child([] {
    faults::deny("io_uring_register=EPERM");
    auto runtime = ramie::or_throw(automatic_builder(1).build());
    runtime.block_on([&] {
      if (!read_a_file() || *read_a_file() <= 0) ::_exit(1);
      const auto figures = runtime.metrics();
      if (figures.rings != 1 || figures.fs_uring != 0 || figures.fs_pool != 2) ::_exit(2);
      if (ramie::uring::has_opcode(IORING_OP_READ) || !ramie::uring::check()) ::_exit(3);
      const auto done =
          ramie::uring::submit([](ramie::uring::Entry& entry) { entry.opcode = IORING_OP_NOP; });
      if (!done || done->result != 0) ::_exit(4);
      const auto text = ramie::fs::read_to_string("/proc/self/comm");
      if (!text || text->empty() || runtime.metrics().fs_uring != 0) ::_exit(5);
    });
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.messages.empty());
}

TEST_CASE("uring: without memory for a ring of the wanted size a smaller one is made", "[uring]") {
  auto builder = automatic_builder(1);
  builder.uring_entries(256);
  const ramie_test::PlannedFaults faults("io_uring_setup 1 ENOMEM; io_uring_setup 2 ENOMEM");
  ramie_test::in_runtime_of(std::move(builder), [&] {
    REQUIRE(read_a_file().has_value());
    const auto figures = ramie::runtime::Handle::current().metrics();
    CHECK(figures.rings == 1);
    CHECK(figures.fs_uring == 1);
    CHECK(faults.all_hits() == 2);
  });
}
