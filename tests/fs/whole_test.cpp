// Tests whole files by their path: a read returns what was written, for every size, whatever size
// the file system reports.
#include "sched/base/annotate.hpp"
#include "tests/fs/disk.hpp"
#include "tests/fs/support.hpp"
#include "tests/support/child.hpp"
#include "tests/support/fault_plan.hpp"

#include <ramie/uring.hpp>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;

}  // namespace

TEST_CASE("write and read: data of every size comes back") {
  const Folder folder;
  const std::string path = folder / "file";
  everywhere([&] {
    for (const std::size_t size :
         {0UL, 1UL, 4095UL, 4096UL, 4097UL, 65536UL, 1UL << 20, (3UL << 20) + 1}) {
      CAPTURE(size);
      const std::string text = pattern(size);
      REQUIRE(fs::write(path, text).has_value());
      CHECK(same(content_of(path), text));
      CHECK(same(*fs::read_to_string(path), text));
      const auto raw = fs::read(path);
      REQUIRE(raw.has_value());
      CHECK(std::ranges::equal(*raw, bytes(text)));
      REQUIRE(fs::write(path, *raw).has_value());
      CHECK(same(content_of(path), text));
    }
    REQUIRE(fs::write(path, "short").has_value());
    CHECK(content_of(path) == "short");
  });
}

// Goal: a small cached file does not wait for a kernel thread, as each statx in a ring does.
// Method: count the ring operations of reads of a file that was just written.
TEST_CASE("read: a small file in the kernel's caches needs no operation of a ring") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, pattern(4096));
  if (!has_cached_reads(path) || !has_known_names(path))
    RAMIE_SKIP("needs a file system and a kernel that read from their caches alone");
  in_runtime(1, [&] {
    const auto runtime = ramie::runtime::Handle::current();
    REQUIRE(fs::read(path).has_value());  // makes the ring
    const auto before = runtime.metrics();
    if (before.rings == 0 || !ramie::uring::has_opcode(IORING_OP_READ))
      RAMIE_SKIP("needs io_uring");
    for (int i = 0; i < 10; ++i) CHECK(fs::read_to_string(path) == pattern(4096));
    const auto operations = [](const auto& of) { return of.fs_uring + of.fs_pool; };
    CHECK(operations(runtime.metrics()) == operations(before));
    const ramie_test::PlannedFaults faults("openat2 1.. EAGAIN");  // the name is in no cache
    for (int i = 0; i < 10; ++i) CHECK(fs::read_to_string(path) == pattern(4096));
    CHECK(operations(runtime.metrics()) - operations(before) == 10);  // one open each
  });
}

TEST_CASE("read: of a FIFO it waits for a writer and reads to the end") {
  const Folder folder;
  const std::string path = folder / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  everywhere([&] {
    std::thread writer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      put(path, pattern(100'000));
    });
    CHECK(fs::read_to_string(path) == pattern(100'000));
    writer.join();
  });
}

TEST_CASE("append: writes at the end of an existing or a new file") {
  const Folder folder;
  const std::string path = folder / "file";
  everywhere([&] {
    std::filesystem::remove(path);
    REQUIRE(fs::append(path, "one ").has_value());
    REQUIRE(fs::append(path, bytes("two")).has_value());
    CHECK(content_of(path) == "one two");
  });
}

TEST_CASE("read: files of /proc, which have no size, are read whole") {
  everywhere([] {
    const auto version = fs::read_to_string("/proc/version");
    REQUIRE(version.has_value());
    CHECK(*version == content_of("/proc/version"));
    const auto maps = fs::read_to_string("/proc/self/maps");
    REQUIRE(maps.has_value());
    CHECK(maps->size() > 4096);
    CHECK(maps->find("[stack]") != std::string::npos);
    CHECK(fs::read("/dev/null")->empty());
  });
}

TEST_CASE("read: a file that grows and shrinks meanwhile is read to the end that is found") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, pattern(100'000));
  std::atomic<bool> is_over{false};
  std::thread other([&] {
    for (unsigned i = 0; !is_over; ++i)
      std::filesystem::resize_file(path, i % 2 == 0 ? 1000 : 200'000);
  });
  everywhere([&] {
    for (int i = 0; i < 200; ++i) {
      const auto text = fs::read_to_string(path);
      REQUIRE(text.has_value());
      REQUIRE(text->size() <= 200'000);
      REQUIRE(text->substr(0, 1000) == pattern(1000));
    }
  });
  is_over = true;
  other.join();
}

TEST_CASE("read: short and interrupted transfers continue") {
  const Folder folder;
  const std::string path = folder / "file";
  everywhere_on_pool([&] {
    const PlannedFaults faults(R"(
        preadv2 every=3 EINTR;  preadv2 1.. short=7;   openat every=2 EINTR
        pwritev2 every=3 EINTR; pwritev2 1.. short=9;  statx every=2 EINTR)");
    REQUIRE(fs::write(path, pattern(2000)).has_value());
    CHECK(fs::read_to_string(path) == pattern(2000));
    for (std::size_t i = 0; i < 6; ++i) CHECK(faults.hits(i) > 0);
  });
}

TEST_CASE("Whole files: errors of the kernel are returned") {
  const Folder folder;
  everywhere_on_pool([&] {
    CHECK(error_of(fs::read(folder / "none")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::read(folder.path())) == std::errc::is_a_directory);
    CHECK(error_of(fs::write(folder.path(), "x")) == std::errc::is_a_directory);
    CHECK(error_of(fs::write(folder / "none/file", "x")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::write("/dev/full", "x")) == std::errc::no_space_on_device);
    CHECK(error_of(fs::append("/dev/full", "x")) == std::errc::no_space_on_device);
    CHECK(error_of(fs::read(std::string("a\0b", 3))) == std::errc::invalid_argument);
    const PlannedFaults faults("close_file 1 EIO");
    CHECK(error_of(fs::write(folder / "file", "x")) == std::errc::io_error);
  });
}

// A sanitizer's allocator would stop the program.
TEST_CASE("read: a file that does not fit into memory returns not_enough_memory") {
#if !RAMIE_ASAN && !RAMIE_TSAN
  const Folder folder;
  const std::string path = folder / "file";
  put(path, "");
  std::error_code error;
  std::filesystem::resize_file(path, 15ULL << 40, error);
  if (error) RAMIE_SKIP("needs a file system with files of 15 TiB");
  everywhere([&] { CHECK(error_of(fs::read(path)) == std::errc::not_enough_memory); });
#endif
}

TEST_CASE("write: beyond RLIMIT_FSIZE it returns file_too_large if SIGXFSZ is ignored") {
  const Folder folder;
  const std::string path = folder / "file";
  const ChildEnd end = run_in_child([&] {
    const rlimit limit{10'000, 10'000};
    (void)::setrlimit(RLIMIT_FSIZE, &limit);
    (void)std::signal(SIGXFSZ, SIG_IGN);
    bool is_right = error_of(fs::write(path, pattern(20'000))) == std::errc::file_too_large;
    {
      auto runtime = make_runtime(1);
      runtime.block_on([&] {
        is_right =
            is_right && error_of(fs::write(path, pattern(20'000))) == std::errc::file_too_large;
      });
    }
    if (!is_right) ::_exit(1);
  });
  CHECK(end.exit_status == 0);
  CHECK(same(content_of(path), pattern(10'000)));
}
