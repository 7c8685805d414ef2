// Tests remove_dir_all: it removes everything below the path and nothing else.
#include "tests/fs/scratch.hpp"

#include <ramie/cancel.hpp>
#include <ramie/fs/directory.hpp>

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using ramie::errc;

// Makes `levels` directories below `path`, each with a file; the result is longer than a path may
// be.
void make_deep(const std::string& path, int levels) {
  stdfs::create_directory(path);
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::string name(20, 'd');
  for (int i = 0; i < levels; ++i) {
    ::close(::openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    REQUIRE(::mkdirat(fd, name.c_str(), 0700) == 0);
    const int below = ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(below >= 0);
    ::close(fd);
    fd = below;
  }
  ::close(fd);
}

// The path of the directory at that level below `path`, as named by make_deep().
std::string at_depth(std::string path, int levels) {
  for (int i = 0; i < levels; ++i) path += "/" + std::string(20, 'd');
  return path;
}

}  // namespace

TEST_CASE("remove_dir_all: removes the tree, and links instead of their targets") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("tree/a/b/c");
    scratch.make_dir("tree/empty");
    scratch.make_dir("outside/dir");
    scratch.write("outside/precious");
    for (const char* name : {"tree/1", "tree/a/2", "tree/a/b/3", "tree/a/b/c/4", "tree/.hidden"})
      scratch.write(name);
    stdfs::create_directory_symlink(scratch.path("outside"), scratch.path("tree/link"));
    stdfs::create_directory_symlink("../../outside/dir", scratch.path("tree/a/link"));
    stdfs::create_symlink(scratch.path("outside/precious"), scratch.path("tree/file link"));
    stdfs::create_symlink("nowhere", scratch.path("tree/dangling"));
    REQUIRE(::mkfifo(scratch.path("tree/fifo").c_str(), 0600) == 0);
    REQUIRE(fs::remove_dir_all(scratch.path("tree")).has_value());
    CHECK_FALSE(scratch.has("tree"));
    CHECK(scratch.has("outside/dir"));
    CHECK(scratch.read("outside/precious") == "text");
  });
}

TEST_CASE("remove_dir_all: removes a link itself, also with a slash behind it") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("outside");
    scratch.write("outside/precious");
    for (const char* name : {"link", "link/", "link//"}) {
      stdfs::create_directory_symlink(scratch.path("outside"), scratch.path("link"));
      REQUIRE(fs::remove_dir_all(scratch.path(name)).has_value());
      CHECK_FALSE(scratch.has("link"));
    }
    CHECK(scratch.read("outside/precious") == "text");
    REQUIRE(fs::remove_dir_all(scratch.path("outside//")).has_value());
    CHECK_FALSE(scratch.has("outside"));
  });
}

TEST_CASE("remove_dir_all: a refused path stays unchanged") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("tree/a");
    scratch.write("tree/a/file");
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree/a/file"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree/a/file/"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree/."))) == std::errc::invalid_argument);
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree/a/.."))) == std::errc::invalid_argument);
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree/a/../"))) == std::errc::invalid_argument);
    CHECK(error_of(fs::remove_dir_all(".")) == std::errc::invalid_argument);
    CHECK(error_of(fs::remove_dir_all("..")) == std::errc::invalid_argument);
    CHECK(error_of(fs::remove_dir_all("")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::remove_dir_all(scratch.path("none"))) ==
          std::errc::no_such_file_or_directory);
    CHECK(scratch.read("tree/a/file") == "text");
  });
}

// Uses the root itself, with a plan that forbids harmful calls in case the test fails.
TEST_CASE("remove_dir_all: never begins at the root of the file system") {
  for (const char* path : {"/", "//", "///"}) {
    const AtCall guard("openat", 1, [] { return -EPERM; });
    CHECK(error_of(fs::remove_dir_all(path)) == std::errc::device_or_resource_busy);
    CHECK_FALSE(guard.has_acted());
  }
}

TEST_CASE("remove_dir_all: a thousand levels, with few descriptors") {
  const auto remove_deep = [] {
    const Scratch scratch(kMemory);
    make_deep(scratch.path("deep"), 1000);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{open_descriptors() + 25, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto removed = fs::remove_dir_all(scratch.path("deep"));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(error_of(removed) == std::error_code());
    CHECK(scratch.is_empty());
  };
  SECTION("on a plain thread") { remove_deep(); }
  SECTION("in a fiber") { in_runtime(2, remove_deep); }
}

TEST_CASE("remove_dir_all: wide directories at several levels") {
  everywhere([] {
    const Scratch scratch(kMemory);
    for (int i = 0; i < 40; ++i) {
      const std::string dir = "tree/" + std::to_string(i);
      scratch.make_dir(dir + "/inner");
      for (int j = 0; j < 40; ++j) scratch.write(dir + "/inner/" + std::to_string(j), "");
    }
    for (int i = 0; i < 2500; ++i)
      scratch.write("tree/a long name for a file " + std::to_string(i));
    REQUIRE(fs::remove_dir_all(scratch.path("tree")).has_value());
    CHECK(scratch.is_empty());
  });
}

TEST_CASE("remove_dir_all: a link that replaces a directory is not followed") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("tree/sub");
    scratch.make_dir("outside");
    scratch.write("outside/precious");
    scratch.write("tree/sub/file");
    const std::string sub = scratch.path("tree/sub");
    const std::string away = scratch.path("away");
    // The first openat opens the tree, the second one an entry that was listed as a directory.
    const AtCall swap("openat", 2, [&] {
      return ::rename(sub.c_str(), away.c_str()) +
             ::symlink(scratch.path("outside").c_str(), sub.c_str());
    });
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree"))) == std::error_code());
    CHECK(swap.has_acted());
    CHECK_FALSE(scratch.has("tree"));
    CHECK(scratch.read("outside/precious") == "text");
    CHECK(scratch.read("away/file") == "text");
  });
}

TEST_CASE("remove_dir_all: does not follow a directory that is moved away") {
  everywhere([] {
    const Scratch scratch;
    make_deep(scratch.path("tree"), 40);
    scratch.make_dir("outside/other");
    scratch.write("outside/precious");
    scratch.write("outside/other/precious");
    const std::string moved = at_depth(scratch.path("tree"), 24);
    const std::string here = scratch.path("outside/moved");
    // 41 calls on the way down; the next one opens "..".
    const AtCall move("openat", 42, [&] { return ::rename(moved.c_str(), here.c_str()); });
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree"))) == std::error_code());
    CHECK(move.has_acted());
    CHECK_FALSE(scratch.has("tree"));
    CHECK(scratch.has("outside/moved"));
    CHECK(scratch.read("outside/precious") == "text");
    CHECK(scratch.read("outside/other/precious") == "text");
  });
}

TEST_CASE("remove_dir_all: files outside stay while directories are swapped for links") {
  const Scratch scratch(kMemory);
  scratch.make_dir("outside");
  for (int i = 0; i < 10; ++i) scratch.write("outside/" + std::to_string(i));
  stdfs::create_directory_symlink(scratch.path("outside"), scratch.path("bait"));
  std::atomic<bool> is_over{false};
  std::thread swapper([&] {
    const std::string sub = scratch.path("tree/sub");
    const std::string bait = scratch.path("bait");
    while (!is_over.load())
      (void)::renameat2(AT_FDCWD, sub.c_str(), AT_FDCWD, bait.c_str(), RENAME_EXCHANGE);
  });
  in_runtime(2, [&] {
    for (int i = 0; i < 500; ++i) {
      std::error_code ignored;
      stdfs::create_directories(scratch.path("tree/sub/inner"), ignored);
      scratch.write("tree/sub/inner/file");
      scratch.write("tree/file");
      (void)fs::remove_dir_all(scratch.path("tree"));
    }
  });
  is_over.store(true);
  swapper.join();
  for (int i = 0; i < 10; ++i) CHECK(scratch.read("outside/" + std::to_string(i)) == "text");
}

TEST_CASE("remove_dir_all: also removes files that are added meanwhile") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("tree/sub");
    scratch.write("tree/sub/file");
    // Calls: the file, then rmdir of sub.
    const AtCall fill("unlinkat", 2, [&] {
      scratch.write("tree/sub/late");
      scratch.make_dir("tree/sub/late dir");
      return 0;
    });
    CHECK(error_of(fs::remove_dir_all(scratch.path("tree"))) == std::error_code());
    CHECK(fill.has_acted());
    CHECK_FALSE(scratch.has("tree"));
  });
}

TEST_CASE("remove_dir_all: two at once both succeed, or return that it is gone") {
  in_runtime(4, [] {
    const Scratch scratch(kMemory);
    for (int round = 0; round < 30; ++round) {
      for (int i = 0; i < 10; ++i) {
        const std::string dir = "tree/" + std::to_string(i) + "/inner";
        scratch.make_dir(dir);
        scratch.write(dir + "/file");
      }
      std::vector<ramie::JoinHandle<ramie::Result<void>>> removers;
      for (int i = 0; i < 3; ++i)
        removers.push_back(ramie::spawn([&] { return fs::remove_dir_all(scratch.path("tree")); }));
      for (auto& remover : removers) {
        const auto removed = remover.join();
        CHECK((removed || removed.error() == std::errc::no_such_file_or_directory));
      }
      CHECK(scratch.is_empty());
    }
  });
}

TEST_CASE("remove_dir_all: an error ends it and is returned") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("tree");
    for (int i = 0; i < 100; ++i) scratch.write("tree/" + std::to_string(i));
    {
      const AtCall failing("unlinkat", 50, [] { return -EACCES; });
      CHECK(error_of(fs::remove_dir_all(scratch.path("tree"))) == std::errc::permission_denied);
      CHECK(failing.calls_after() == 0);
    }
    REQUIRE(fs::remove_dir_all(scratch.path("tree")).has_value());
    CHECK(scratch.is_empty());
  });
}

TEST_CASE("remove_dir_all: a cancel ends it between two removals") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    scratch.make_dir("tree");
    for (int i = 0; i < 3000; ++i) scratch.write("tree/" + std::to_string(i), "");
    const ramie::CancellationToken stop;
    {
      // The job waits until the cancel arrives; the fiber reports that by its flag.
      const AtCall canceling("unlinkat", 100, [&] {
        stop.cancel();
        std::this_thread::sleep_for(300ms);
        return 0;
      });
      const auto removed =
          ramie::until(stop, [&] { return fs::remove_dir_all(scratch.path("tree")); });
      CHECK(error_of(removed) == errc::canceled);
      CHECK(canceling.calls_after() < 2500);
    }
    CHECK(scratch.has("tree"));
    REQUIRE(fs::remove_dir_all(scratch.path("tree")).has_value());
    CHECK(scratch.is_empty());
  });
}
