// Tests temporary files and directories: their life, their end, and that others cannot see them.
#include "tests/fs/scratch.hpp"

#include <ramie/cancel.hpp>
#include <ramie/fs/temp.hpp>
#include <ramie/scope.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using ramie::errc;

void write_text(fs::TempFile& file, std::string_view text) {
  ramie::or_throw(file.file().write_all(std::as_bytes(std::span(text))));
}

// Runs with and without support for nameless files.
template <class F>
void both_kinds(F&& test) {
  SECTION("nameless") {
    everywhere([&] { test(false); });
  }
  SECTION("with a hidden name") {
    everywhere([&] { test(true); });
  }
}

// The first openat tries to make a nameless file.
fs::TempFile make_file(const Scratch& scratch, bool is_named) {
  std::optional<AtCall> refusing;
  if (is_named) refusing.emplace("openat", 1, [] { return -EOPNOTSUPP; });
  return ramie::or_throw(fs::TempFile::create_in(scratch.path()));
}

}  // namespace

TEST_CASE("TempFile: readable and writable for its owner only, and removed when it is closed") {
  both_kinds([](bool is_named) {
    const Scratch scratch;
    {
      fs::TempFile file = make_file(scratch, is_named);
      CHECK(scratch.is_empty() != is_named);
      write_text(file, "content");
      struct stat data{};
      REQUIRE(::fstat(file.file().fd(), &data) == 0);
      CHECK((data.st_mode & 07777U) == 0600U);
      std::string text(7, '\0');
      REQUIRE(file.file().read_exact_at(std::as_writable_bytes(std::span(text)), 0).has_value());
      CHECK(text == "content");
      fs::TempFile other = std::move(file);
      CHECK_FALSE(file.is_open());
      CHECK(other.is_open());
      file = std::move(other);
      CHECK(file.is_open());
    }
    CHECK(scratch.is_empty());
  });
}

TEST_CASE("TempFile::persist: gives it a name and replaces what had that name") {
  both_kinds([](bool is_named) {
    const Scratch scratch;
    scratch.write("taken", "old");
    {
      fs::TempFile file = make_file(scratch, is_named);
      write_text(file, "new");
      REQUIRE(file.persist(scratch.path("fresh")).has_value());
      CHECK(scratch.read("fresh") == "new");
      REQUIRE(file.persist(scratch.path("taken")).has_value());
      CHECK(scratch.read("taken") == "new");
      write_text(file, "er");
    }
    CHECK(scratch.read("taken") == "newer");
    CHECK(scratch.mode_of("taken") == 0600);
    stdfs::remove(scratch.path("taken"));
    stdfs::remove(scratch.path("fresh"));
    CHECK(scratch.is_empty());
  });
}

TEST_CASE("TempFile::persist: an error leaves everything as it was") {
  both_kinds([](bool is_named) {
    const Scratch scratch;
    const Scratch memory(kMemory);
    scratch.write("taken", "old");
    scratch.make_dir("dir");
    {
      fs::TempFile file = make_file(scratch, is_named);
      write_text(file, "new");
      CHECK(error_of(file.persist_no_replace(scratch.path("taken"))) == std::errc::file_exists);
      CHECK(error_of(file.persist(scratch.path("dir"))) == std::errc::is_a_directory);
      if (!are_on_one_disk(scratch.path(), memory.path()))
        CHECK(error_of(file.persist(memory.path("a"))) == std::errc::cross_device_link);
      CHECK(error_of(file.persist(scratch.path("none/a"))) == std::errc::no_such_file_or_directory);
      const AtCall failing("renameat2", 1, [] { return -EBUSY; });
      CHECK(error_of(file.persist(scratch.path("taken"))) == std::errc::device_or_resource_busy);
      CHECK(scratch.read("taken") == "old");
      REQUIRE(file.persist_no_replace(scratch.path("a")).has_value());
      CHECK(scratch.read("a") == "new");
    }
    CHECK(stdfs::remove_all(scratch.path("dir")) == 1);
    stdfs::remove(scratch.path("taken"));
    stdfs::remove(scratch.path("a"));
    CHECK(scratch.is_empty());
    CHECK(error_of(fs::TempFile().persist(scratch.path("a"))) == std::errc::bad_file_descriptor);
  });
}

TEST_CASE("TempFile: a name that is taken is no error, but other errors are returned") {
  const Scratch scratch;
  {
    const AtCall refusing("openat", 1, [] { return -EACCES; });
    CHECK(error_of(fs::TempFile::create_in(scratch.path())) == std::errc::permission_denied);
  }
  CHECK(error_of(fs::TempFile::create_in(scratch.path("none"))) ==
        std::errc::no_such_file_or_directory);
  CHECK(error_of(fs::TempFile::create_in(scratch.write("file"))) == std::errc::not_a_directory);
  const AtCall taken("mkdirat", 1, [] { return -EEXIST; });
  CHECK(fs::TempDir::create_in(scratch.path()).has_value());
  CHECK(taken.calls_after() == 1);
}

TEST_CASE("TempDir: for its owner only, removed with everything in it") {
  everywhere([] {
    const Scratch scratch;
    std::set<std::string> names;
    for (int i = 0; i < 20; ++i) {
      auto dir = ramie::or_throw(fs::TempDir::create_in(scratch.path(), "test-"));
      CHECK(names.insert(dir.path()).second);
      CHECK(dir.path().starts_with(stdfs::canonical(scratch.path()).string() + "/test-"));
      CHECK(static_cast<unsigned>(stdfs::status(dir.path()).permissions()) == 0700);
      stdfs::create_directories(dir.path() + "/a/b");
      fs::TempDir moved = std::move(dir);
      CHECK(dir.path().empty());
      CHECK(stdfs::exists(moved.path() + "/a/b"));
    }
    CHECK(scratch.is_empty());
    CHECK(error_of(fs::TempDir::create_in(scratch.path(), "a/b")) == std::errc::invalid_argument);
    CHECK(error_of(fs::TempDir::create_in(scratch.path("none"))) ==
          std::errc::no_such_file_or_directory);
  });
}

TEST_CASE("TempDir: close returns the error and may be called again") {
  everywhere([] {
    const Scratch scratch;
    auto dir = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
    stdfs::create_directories(dir.path() + "/a");
    {
      const AtCall refusing("unlinkat", 1, [] { return -EACCES; });
      CHECK(error_of(dir.close()) == std::errc::permission_denied);
    }
    CHECK_FALSE(dir.path().empty());
    CHECK(dir.close().has_value());
    CHECK(scratch.is_empty());
    CHECK(dir.path().empty());
    CHECK(dir.close().has_value());
    auto other = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
    stdfs::remove(other.path());
    CHECK(other.close().has_value());
    auto kept = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
    const std::string path = kept.keep();
    CHECK(kept.path().empty());
    kept = fs::TempDir();
    CHECK(stdfs::remove(path));
  });
}

TEST_CASE("TempDir, TempFile: made in the directory for temporary files by default") {
  const char* given = std::getenv("TMPDIR");
  const std::string before = given != nullptr ? given : "";
  everywhere([&] {
    const Scratch scratch;
    REQUIRE(::setenv("TMPDIR", scratch.path().c_str(), 1) == 0);
    {
      auto dir = ramie::or_throw(fs::TempDir::create());
      CHECK(dir.path().starts_with(stdfs::canonical(scratch.path()).string() + "/ramie-"));
      auto file = ramie::or_throw(fs::TempFile::create());
      REQUIRE(file.persist(dir.path() + "/a").has_value());
    }
    CHECK(scratch.is_empty());
    REQUIRE(::setenv("TMPDIR", scratch.path("none").c_str(), 1) == 0);
    CHECK(error_of(fs::TempDir::create()) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::TempFile::create()) == std::errc::no_such_file_or_directory);
    REQUIRE(::unsetenv("TMPDIR") == 0);
    const auto usual = fs::TempDir::create();
    CHECK(usual.has_value() == (::access("/tmp", W_OK | X_OK) == 0));
    if (usual) CHECK(usual->path().starts_with("/tmp/ramie-"));
    if (given != nullptr) REQUIRE(::setenv("TMPDIR", before.c_str(), 1) == 0);
  });
}

TEST_CASE("TempDir, TempFile: also removed by a fiber that is cancelled or unwinding") {
  const Scratch scratch;
  in_runtime(2, [&] {
    const ramie::CancellationToken stop;
    const auto ended = ramie::until(stop, [&]() -> ramie::Result<void> {
      const auto dir = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
      const fs::TempFile file = make_file(scratch, true);
      stdfs::create_directories(dir.path() + "/a/b/c");
      stop.cancel();
      return ramie::sleep_for(1ms);
    });
    CHECK(error_of(ended) == errc::canceled);
    CHECK(scratch.is_empty());
    try {
      const auto dir = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
      const fs::TempFile file = make_file(scratch, true);
      throw std::runtime_error("unwinding");
    } catch (const std::runtime_error&) {
    }
    CHECK(scratch.is_empty());
    CHECK(error_of(ramie::until(stop, [&] { return fs::TempDir::create_in(scratch.path()); })) ==
          errc::canceled);
    CHECK(error_of(ramie::until(stop, [&] { return fs::TempFile::create_in(scratch.path()); })) ==
          errc::canceled);
    CHECK(scratch.is_empty());
  });
}

TEST_CASE("TempDir: also removed by a fiber that the runtime ends") {
  const Scratch scratch;
  in_runtime(2, [&] {
    std::atomic<bool> is_made{false};
    ramie::spawn([&] {
      const auto dir = ramie::or_throw(fs::TempDir::create_in(scratch.path()));
      stdfs::create_directories(dir.path() + "/a");
      is_made.store(true);
      (void)ramie::sleep_for(1h);
    }).detach();
    REQUIRE(eventually([&] { return is_made.load(); }));
    CHECK_FALSE(scratch.is_empty());
  });
  CHECK(scratch.is_empty());
}
