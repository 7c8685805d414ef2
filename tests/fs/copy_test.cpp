// Tests fs::copy: the bytes and the permissions, on every way of copying.
#include "tests/fs/scratch.hpp"

#include <ramie/cancel.hpp>
#include <ramie/fs/names.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <string>
#include <thread>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using ramie::errc;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t random = 12345;
  for (char& c : text) {
    random = random * 1664525U + 1013904223U;
    c = static_cast<char>(random >> 24U);
  }
  return text;
}

constexpr std::size_t kMiB = std::size_t{1} << 20U;

}  // namespace

TEST_CASE("copy: every size is copied, and the number of bytes is returned") {
  everywhere([] {
    const Scratch scratch;
    for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 131072UL, 131073UL, kMiB + 17}) {
      const std::string text = pattern(size);
      scratch.write("from", text);
      CHECK(ramie::or_throw(fs::copy(scratch.path("from"), scratch.path("to"))) == size);
      CHECK((scratch.read("to") == text));
    }
  });
}

TEST_CASE("copy: twenty megabytes, in several pieces") {
  const std::string text = pattern(20 * kMiB);
  in_runtime(2, [&] {
    const Scratch scratch(kMemory);
    scratch.write("from", text);
    CHECK(ramie::or_throw(fs::copy(scratch.path("from"), scratch.path("to"))) == text.size());
    CHECK((scratch.read("to") == text));
  });
}

TEST_CASE("copy: replaces the content of the destination; its other names see the copy") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("from", "short");
    scratch.write("to", "something longer");
    stdfs::create_hard_link(scratch.path("to"), scratch.path("other name"));
    stdfs::create_symlink("from", scratch.path("from link"));
    stdfs::create_symlink("to", scratch.path("to link"));
    CHECK(*fs::copy(scratch.path("from link"), scratch.path("to link")) == 5);
    CHECK(scratch.read("to") == "short");
    CHECK(scratch.read("other name") == "short");
    CHECK(stdfs::is_symlink(scratch.path("to link")));
  });
}

TEST_CASE("copy: copies the permission bits, but not the set-id bits") {
  everywhere([] {
    const Scratch scratch;
    for (const unsigned mode : {0600U, 0777U, 0444U, 06755U}) {
      scratch.write("from");
      stdfs::permissions(scratch.path("from"), static_cast<stdfs::perms>(mode));
      CHECK(*fs::copy(scratch.path("from"), scratch.path("to")) == 4);
      CHECK(scratch.mode_of("to") == (mode & 0777U));
      stdfs::permissions(scratch.path("to"), stdfs::perms(0606));
      CHECK(*fs::copy(scratch.path("from"), scratch.path("to")) == 4);
      CHECK(scratch.mode_of("to") == (mode & 0777U));
      stdfs::remove(scratch.path("to"));
      stdfs::remove(scratch.path("from"));
    }
  });
}

TEST_CASE("copy: a copy onto itself is refused, and the file stays as it is") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a", "precious");
    stdfs::create_hard_link(scratch.path("a"), scratch.path("b"));
    stdfs::create_symlink("a", scratch.path("c"));
    for (const char* to : {"a", "b", "c"})
      CHECK(error_of(fs::copy(scratch.path("a"), scratch.path(to))) == std::errc::invalid_argument);
    CHECK(scratch.read("a") == "precious");
  });
}

TEST_CASE("copy: anything but a regular file is refused at once") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("file");
    scratch.make_dir("dir");
    REQUIRE(::mkfifo(scratch.path("fifo").c_str(), 0600) == 0);
    const auto copied = [&](const char* from, const char* to) {
      return error_of(fs::copy(scratch.path(from), scratch.path(to)));
    };
    CHECK(copied("dir", "new") == std::errc::is_a_directory);
    CHECK(copied("file", "dir") == std::errc::is_a_directory);
    CHECK(copied("fifo", "new") == std::errc::invalid_argument);
    CHECK(copied("file", "fifo") == std::errc::no_such_device_or_address);
    CHECK(error_of(fs::copy("/dev/zero", scratch.path("new"))) == std::errc::invalid_argument);
    CHECK(copied("none", "new") == std::errc::no_such_file_or_directory);
    CHECK(copied("file", "none/new") == std::errc::no_such_file_or_directory);
    CHECK_FALSE(scratch.has("new"));
  });
}

TEST_CASE("copy: a file of /proc, which reports a size of 0") {
  everywhere([] {
    const Scratch scratch;
    const auto n = ramie::or_throw(fs::copy("/proc/self/limits", scratch.path("to")));
    CHECK(n > 100);
    CHECK(scratch.read("to").size() == n);
    CHECK(scratch.read("to").starts_with("Limit"));
  });
}

TEST_CASE("copy: from one file system to another, both ways") {
  if (are_on_one_disk(kDisk, kMemory)) RAMIE_SKIP("needs two file systems");
  everywhere([] {
    const Scratch disk(kDisk);
    const Scratch memory(kMemory);
    const std::string text = pattern(3 * kMiB + 5);
    disk.write("a", text);
    CHECK(*fs::copy(disk.path("a"), memory.path("b")) == text.size());
    CHECK(*fs::copy(memory.path("b"), disk.path("c")) == text.size());
    CHECK((disk.read("c") == text));
  });
}

TEST_CASE("copy: where the kernel cannot continue, at any point, a buffer is used") {
  everywhere([] {
    const Scratch scratch(kMemory);
    const std::string text = pattern(9 * kMiB);
    scratch.write("from", text);
    for (const int error : {EXDEV, EINVAL, EOPNOTSUPP, ENOSYS, EPERM, EBADF}) {
      for (const int nth : {1, 2}) {
        INFO(error << " at the call " << nth);
        stdfs::remove(scratch.path("to"));
        const AtCall refusing("copy_file_range", nth, [=] { return -error; });
        CHECK(ramie::or_throw(fs::copy(scratch.path("from"), scratch.path("to"))) == text.size());
        CHECK(refusing.has_acted());
        CHECK((scratch.read("to") == text));
      }
    }
    const AtCall failing("copy_file_range", 2, [] { return -ENOSPC; });
    CHECK(error_of(fs::copy(scratch.path("from"), scratch.path("to"))) ==
          std::errc::no_space_on_device);
  });
}

TEST_CASE(
    "copy: a destination that cannot get the source's mode stays as it is; the error is returned") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("from", "short");
    scratch.write("to", "something longer");
    stdfs::permissions(scratch.path("to"), stdfs::perms(0606));
    for (const char* call : {"fchmod", "ftruncate"}) {
      const AtCall refusing(call, 1, [] { return -EPERM; });
      CHECK(error_of(fs::copy(scratch.path("from"), scratch.path("to"))) ==
            std::errc::operation_not_permitted);
      CHECK(scratch.read("to") == "something longer");
    }
  });
}

TEST_CASE("copy: holes read as zeros") {
  const Scratch scratch;
  scratch.write("from", "begin");
  stdfs::resize_file(scratch.path("from"), 5 * kMiB);
  CHECK(*fs::copy(scratch.path("from"), scratch.path("to")) == 5 * kMiB);
  CHECK((scratch.read("to") == scratch.read("from")));
}

TEST_CASE("copy: a cancel ends it between two pieces") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    scratch.write("from");
    stdfs::resize_file(scratch.path("from"), 40 * kMiB);
    const ramie::CancellationToken stop;
    {
      // The job waits until the cancel arrives; the fiber reports that by its flag.
      const AtCall canceling("copy_file_range", 2, [&] {
        stop.cancel();
        std::this_thread::sleep_for(300ms);
        return 0;
      });
      CHECK(error_of(ramie::until(stop, [&] {
              return fs::copy(scratch.path("from"), scratch.path("to"));
            })) == errc::canceled);
      CHECK(canceling.calls_after() < 10);
    }
    CHECK(stdfs::file_size(scratch.path("to")) < 36 * kMiB);
    CHECK(error_of(ramie::until(stop, [&] {
            return fs::copy(scratch.path("from"), scratch.path("never"));
          })) == errc::canceled);
    CHECK_FALSE(scratch.has("never"));
    CHECK(*fs::copy(scratch.path("from"), scratch.path("to")) == 40 * kMiB);
  });
}

TEST_CASE("copy: a deadline ends it and leaves a part") {
  in_runtime(1, [] {
    const Scratch scratch(kMemory);
    scratch.write("from");
    scratch.write("to", "");  // the deadline may pass before the copy begins
    stdfs::resize_file(scratch.path("from"), 100 * kMiB);
    const auto deadline = std::chrono::steady_clock::now() + 50ms;
    const AtCall slow("copy_file_range", 2, [deadline] {
      std::this_thread::sleep_until(deadline + 300ms);
      return 0;
    });
    CHECK(error_of(ramie::timeout_at(deadline, [&] {
            return fs::copy(scratch.path("from"), scratch.path("to"));
          })) == errc::timed_out);
    CHECK(stdfs::file_size(scratch.path("to")) < 90 * kMiB);
  });
}
