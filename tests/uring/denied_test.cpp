// Tests operations of io_uring that are denied or cannot be started, as by a filter of Linux 7.0, a
// sandbox or a limit of threads. Internal results of the kernel reach no user.
#include "runtime/fs/calls.hpp"
#include "tests/faults/confine.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/places.hpp"
#include "tests/support/text.hpp"
#include "uring/ring.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <csignal>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::Result;
using ramie::fs::Calls;
using ramie::fs::Count;
using ramie_test::automatic_builder;
using ramie_test::count;
using ramie_test::error_of;
using ramie_test::run_in_child;

namespace {

// A call of a file operation that does nothing in the ring, and is `call()` elsewhere.
template <class Call>
Result<Count> perform(Call&& call) {
  return ramie::fs::run([&](Calls& calls) -> Result<Count> {
    const Count n = calls.perform(IORING_OP_NOP, [](ramie::uring::Entry&) {}, call);
    if (n < 0) return ramie::failure(calls.code(n));
    return n;
  });
}

// Returns whether submit() returns this errno.
bool is_refused(const std::string& error) {
  const auto done =
      ramie::uring::submit([](ramie::uring::Entry& entry) { entry.opcode = IORING_OP_NOP; });
  const int number = faults::detail::number_of_errno(error);
  return error_of(done) == std::error_code(number, std::system_category());
}

}  // namespace

TEST_CASE(
    "uring: an opcode that is denied where the system call works is reported once and not tried "
    "again",
    "[uring]") {
  for (const std::string error : {"EACCES", "EPERM"}) {
    const auto end = run_in_child([&] {
      auto runtime = ramie::or_throw(automatic_builder(1).build());
      runtime.block_on([&] {
        if (!ramie::uring::has_opcode(IORING_OP_NOP)) ::_exit(1);
        const ramie_test::PlannedFaults denied("uring_op 1.. " + error);
        for (int i = 0; i < 3; ++i)
          if (perform([]() -> Count { return 7; }) != Result<Count>(7)) ::_exit(2);
        if (denied.all_hits() != 1) ::_exit(3);
        if (ramie::uring::has_opcode(IORING_OP_NOP)) ::_exit(4);
        if (!ramie::uring::has_opcode(IORING_OP_READ)) ::_exit(5);
        if (runtime.metrics().fs_pool != 3 || !ramie::uring::check()) ::_exit(6);
      });
    });
    CAPTURE(error, end.messages);
    CHECK(end.exit_status == 0);
    CHECK(count(end.messages, "\n") == 1);
    CHECK(end.says("io_uring's operation 0 is denied"));
  }
}

TEST_CASE("uring: an error that the system call returns too is the file's and denies no opcode",
          "[uring]") {
  ramie_test::in_runtime_of(automatic_builder(1), [] {
    const ramie_test::PlannedFaults refused("uring_op 1.. EACCES");
    for (int i = 0; i < 3; ++i)
      CHECK(error_of(perform([]() -> Count { return -EACCES; })) == std::errc::permission_denied);
    CHECK(refused.all_hits() == 3);
    CHECK(ramie::uring::has_opcode(IORING_OP_NOP));
  });
}

TEST_CASE("uring: files work although every file operation is denied", "[uring]") {
  const auto end = run_in_child([] {
    auto runtime = ramie::or_throw(automatic_builder(2).build());
    const ramie_test::PlannedFaults denied("uring_op 1.. EPERM");
    runtime.block_on([] {
      auto folder = ramie::or_throw(ramie::fs::TempDir::create());
      const std::string path = folder.path() + "/file";
      ramie::or_throw(ramie::fs::write(path, "content"));
      if (ramie::or_throw(ramie::fs::read_to_string(path)) != "content") ::_exit(1);
      auto file = ramie::or_throw(ramie::fs::OpenOptions().read().write().open(path));
      ramie::or_throw(file.sync_all());
      ramie::or_throw(file.set_len(3));
      ramie::or_throw(ramie::fs::rename(path, path + "2"));
      ramie::or_throw(ramie::fs::create_dir(path));
      ramie::or_throw(ramie::fs::hard_link(path + "2", path + "/3"));
      ramie::or_throw(ramie::fs::symlink("3", path + "/4"));
      if (ramie::or_throw(ramie::fs::metadata(path + "/4")).size != 3) ::_exit(2);
      ramie::or_throw(folder.close());
    });
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("uring: the pool does what io_uring ends for lack of a thread, without a cancel",
          "[uring]") {
  ramie_test::in_runtime_of(automatic_builder(1), [] {
    const ramie_test::PlannedFaults no_thread("uring_op 1.. ECANCELED");
    CHECK(perform([]() -> Count { return 7; }) == Result<Count>(7));
    CHECK(no_thread.all_hits() == 1);
    CHECK(ramie::uring::has_opcode(IORING_OP_NOP));
  });
  const auto end = run_in_child([] {
    auto runtime = ramie::or_throw(automatic_builder(1).build());
    const std::string path = ramie_test::kDisk + "/ramie-nproc-" + std::to_string(::getpid());
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    ::unlink(path.c_str());
    faults::limit("nproc=1");
    runtime.block_on([&] {
      auto file = ramie::fs::File::from_fd(fd);
      for (int i = 0; i < 20; ++i) {
        for (const std::error_code code :
             {error_of(file.sync_all()), error_of(ramie::fs::metadata("/tmp")),
              error_of(ramie::fs::canonicalize("/tmp")), error_of(file.allocate(0, 10))})
          if (code && code != std::errc::resource_unavailable_try_again) ::_exit(10 + code.value());
      }
    });
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("uring: the pool does files if io_uring_enter is denied and io_uring_setup is not",
          "[uring]") {
  for (const std::string error : {"EPERM", "EACCES", "ENOSYS"}) {
    const auto end = run_in_child([&] {
      faults::deny("io_uring_enter=" + error);
      auto runtime = ramie::or_throw(automatic_builder(2).build());
      runtime.block_on([&] {
        if (ramie::or_throw(ramie::fs::read_to_string("/proc/self/comm")).empty()) ::_exit(1);
        ramie::or_throw(ramie::fs::metadata("/proc/self/task"));
        if (runtime.metrics().rings != 0 || ramie::uring::check()) ::_exit(2);
        if (!is_refused(error)) ::_exit(3);
      });
    });
    CAPTURE(error, end.messages);
    CHECK(end.exit_status == 0);
    CHECK(count(end.messages, "\n") == 1);
    CHECK(end.says("io_uring is off"));
  }
}

TEST_CASE(
    "uring: if io_uring_enter is denied later, operations in flight end, then the pool does files",
    "[uring]") {
  for (const std::string error : {"EPERM", "EACCES", "ENOSYS"}) {
    const auto end = run_in_child([&] {
      auto runtime = ramie::or_throw(automatic_builder(2).build());
      const auto folder = ramie::or_throw(ramie::fs::TempDir::create());
      std::atomic<bool> is_denied{false};
      runtime.block_on([&] {
        std::vector<ramie::JoinHandle<int>> users;
        std::atomic<int> rounds{0};
        for (int i = 0; i < 16; ++i)
          users.push_back(ramie::spawn([&, i] {
            const std::string path = folder.path() + "/" + std::to_string(i);
            for (int last = 0; last < 20; last += is_denied ? 1 : 0, ++rounds) {
              const std::string text = std::to_string(rounds) + std::string(5000, 'x');
              auto file = ramie::fs::OpenOptions().read().write().create().truncate().open(path);
              if (!file || !file->write_all(std::as_bytes(std::span(text)))) return 1;
              if (!file->sync_data() || !file->close()) return 2;
              if (ramie::fs::read_to_string(path) != Result<std::string>(text)) return 3;
            }
            return 0;
          }));
        while (rounds < 100) (void)ramie::sleep_for(1ms);
        if (runtime.metrics().rings == 0) ::_exit(1);
        faults::deny("io_uring_enter=" + error, faults::Whom::all_threads);
        is_denied = true;
        for (auto& user : users)
          if (user.join() != Result<int>(0)) ::_exit(2);
        if (!is_refused(error)) ::_exit(3);
      });
    });
    CAPTURE(error, end.messages);
    CHECK(end.exit_status == 0);
    CHECK(count(end.messages, "\n") == 1);
    CHECK(end.says("io_uring is off"));
  }
}

TEST_CASE(
    "uring: io_uring_enter is denied to an operation that waits for others: a message ends the "
    "program",
    "[uring]") {
  const auto end = run_in_child([] {
    auto runtime = ramie::or_throw(automatic_builder(1).build());
    runtime.block_on([] {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC) != 0) ::_exit(1);
      auto reader = ramie::spawn([&] {
        return ramie::uring::submit([&](ramie::uring::Entry& entry) {
          entry.opcode = IORING_OP_POLL_ADD;
          entry.fd = ends[0];
          entry.operation_flags = 1;  // POLLIN
        });
      });
      (void)ramie::sleep_for(5ms);
      faults::deny("io_uring_enter=EPERM", faults::Whom::all_threads);
      reader.cancel();
      (void)reader.join();
    });
  });
  CHECK(end.signal == SIGABRT);
  CHECK(end.says("waits for others and can no longer be cancelled"));
}

TEST_CASE("uring: the kernel's restart codes become an interruption", "[uring]") {
  for (std::int32_t code = -516; code <= -512; ++code)
    CHECK(ramie::uring::as_heard(code) == -EINTR);
  for (const std::int32_t other : {-517, -511, -EINTR, -ECANCELED, -1, 0, 512, 516})
    CHECK(ramie::uring::as_heard(other) == other);
}

TEST_CASE("uring: a cancel or deadline of an open that waits in the kernel is returned as such",
          "[uring]") {
  const std::string path = ramie_test::kDisk + "/ramie-fifo-" + std::to_string(::getpid());
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  ramie_test::in_runtime_of(automatic_builder(1), [&] {
    const auto open_it = [&] {
      return ramie::uring::submit([&](ramie::uring::Entry& entry) {
        entry.opcode = IORING_OP_OPENAT;
        entry.flags = 1U << 4U;  // IOSQE_ASYNC: a kernel thread waits for the writer
        entry.fd = AT_FDCWD;
        entry.address = reinterpret_cast<std::uintptr_t>(path.c_str());
        entry.operation_flags = O_RDONLY | O_CLOEXEC;
      });
    };
    for (int i = 0; i < 5; ++i) {
      CHECK(error_of(ramie::timeout(20ms, open_it)) == errc::timed_out);
      auto opener = ramie::spawn([&] { return error_of(open_it()); });
      (void)ramie::sleep_for(10ms);
      opener.cancel();
      CHECK(opener.join() == Result<std::error_code>(errc::canceled));
    }
  });
  ::unlink(path.c_str());
}
