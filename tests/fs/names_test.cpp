// Tests renaming, linking, removing one name, and permissions.
#include "tests/fs/scratch.hpp"

#include <ramie/fs/directory.hpp>
#include <ramie/fs/names.hpp>

#include <unistd.h>
#include <catch2/catch.hpp>
#include <functional>
#include <string>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;

}  // namespace

TEST_CASE("rename: the name changes and replaces another in one step") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a", "first");
    scratch.write("b", "second");
    REQUIRE(fs::rename(scratch.path("a"), scratch.path("b")).has_value());
    CHECK_FALSE(scratch.has("a"));
    CHECK(scratch.read("b") == "first");
    scratch.make_dir("dir/inner");
    REQUIRE(fs::rename(scratch.path("dir"), scratch.path("other")).has_value());
    CHECK(scratch.has("other/inner"));
    CHECK(error_of(fs::rename(scratch.path("a"), scratch.path("c"))) ==
          std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::rename(scratch.path("b"), scratch.path("other"))) ==
          std::errc::is_a_directory);
    CHECK(error_of(fs::rename(scratch.path("other"), scratch.path("other/inner/x"))) ==
          std::errc::invalid_argument);
  });
}

TEST_CASE("rename: to another file system is cross_device_link") {
  if (are_on_one_disk(kDisk, kMemory)) RAMIE_SKIP("needs two file systems");
  const Scratch disk(kDisk);
  const Scratch memory(kMemory);
  disk.write("a");
  CHECK(error_of(fs::rename(disk.path("a"), memory.path("a"))) == std::errc::cross_device_link);
  CHECK(error_of(fs::hard_link(disk.path("a"), memory.path("a"))) == std::errc::cross_device_link);
  CHECK(disk.read("a") == "text");
}

TEST_CASE("rename_no_replace: replaces nothing") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a", "first");
    scratch.write("b", "second");
    CHECK(error_of(fs::rename_no_replace(scratch.path("a"), scratch.path("b"))) ==
          std::errc::file_exists);
    CHECK(scratch.read("b") == "second");
    REQUIRE(fs::rename_no_replace(scratch.path("a"), scratch.path("c")).has_value());
    CHECK(scratch.read("c") == "first");
  });
}

TEST_CASE("remove_file: removes any name but a directory's, and a link instead of its target") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a");
    scratch.make_dir("dir");
    stdfs::create_symlink("a", scratch.path("link"));
    stdfs::create_symlink("dir", scratch.path("dir link"));
    REQUIRE(fs::remove_file(scratch.path("link")).has_value());
    REQUIRE(fs::remove_file(scratch.path("dir link")).has_value());
    CHECK(scratch.has("a"));
    CHECK(scratch.has("dir"));
    REQUIRE(fs::remove_file(scratch.path("a")).has_value());
    CHECK(error_of(fs::remove_file(scratch.path("a"))) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::remove_file(scratch.path("dir"))) == std::errc::is_a_directory);
  });
}

TEST_CASE("hard_link: a second name for the same file, or for a symbolic link itself") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a", "same");
    REQUIRE(fs::hard_link(scratch.path("a"), scratch.path("b")).has_value());
    CHECK(stdfs::hard_link_count(scratch.path("a")) == 2);
    CHECK(scratch.read("b") == "same");
    CHECK(error_of(fs::hard_link(scratch.path("a"), scratch.path("b"))) == std::errc::file_exists);
    scratch.make_dir("dir");
    CHECK(error_of(fs::hard_link(scratch.path("dir"), scratch.path("c"))) ==
          std::errc::operation_not_permitted);
    stdfs::create_symlink("nowhere", scratch.path("link"));
    REQUIRE(fs::hard_link(scratch.path("link"), scratch.path("second link")).has_value());
    CHECK(stdfs::read_symlink(scratch.path("second link")) == "nowhere");
  });
}

TEST_CASE("symlink, read_link: the target comes back at any length") {
  everywhere([] {
    const Scratch scratch;
    for (const std::size_t size : {1U, 2U, 255U, 256U, 257U, 1000U, 4095U}) {
      const std::string target(size, 'x');
      const std::string name = std::to_string(size);
      REQUIRE(fs::symlink(target, scratch.path(name)).has_value());
      CHECK(ramie::or_throw(fs::read_link(scratch.path(name))) == target);
    }
    CHECK(error_of(fs::symlink("x", scratch.path("1"))) == std::errc::file_exists);
    CHECK(error_of(fs::symlink("", scratch.path("e"))) == std::errc::no_such_file_or_directory);
    scratch.write("file");
    CHECK(error_of(fs::read_link(scratch.path("file"))) == std::errc::invalid_argument);
    CHECK(error_of(fs::read_link(scratch.path("none"))) == std::errc::no_such_file_or_directory);
  });
}

TEST_CASE("canonicalize: the absolute path, without links") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("dir/inner");
    stdfs::create_directory_symlink(scratch.path("dir"), scratch.path("link"));
    stdfs::create_symlink("loop", scratch.path("loop"));
    const std::string real = stdfs::canonical(scratch.path());
    CHECK(ramie::or_throw(fs::canonicalize(scratch.path("link/./inner/.."))) == real + "/dir");
    CHECK(ramie::or_throw(fs::canonicalize("/")) == "/");
    CHECK(ramie::or_throw(fs::canonicalize(".")) == stdfs::current_path());
    CHECK(error_of(fs::canonicalize(scratch.path("none"))) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::canonicalize(scratch.path("loop"))) ==
          std::errc::too_many_symbolic_link_levels);
    CHECK(error_of(fs::canonicalize("")) == std::errc::no_such_file_or_directory);
  });
}

TEST_CASE("set_permissions: sets the bits without the umask, through links") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a");
    stdfs::create_symlink("a", scratch.path("link"));
    for (const unsigned mode : {0777U, 0U, 04711U, 0640U}) {
      REQUIRE(fs::set_permissions(scratch.path("link"), mode).has_value());
      CHECK(scratch.mode_of("a") == mode);
    }
    CHECK(error_of(fs::set_permissions(scratch.path("none"), 0600)) ==
          std::errc::no_such_file_or_directory);
  });
}

TEST_CASE("names: every call refuses a NUL in a path and does nothing") {
  const Scratch scratch;
  const std::string good = scratch.write("good");
  std::string bad = scratch.path("bad");
  bad += '\0';
  bad += "tail";
  const std::error_code refused = std::make_error_code(std::errc::invalid_argument);
  CHECK(error_of(fs::rename(good, bad)) == refused);
  CHECK(error_of(fs::rename(bad, good)) == refused);
  CHECK(error_of(fs::rename_no_replace(good, bad)) == refused);
  CHECK(error_of(fs::remove_file(bad)) == refused);
  CHECK(error_of(fs::hard_link(good, bad)) == refused);
  CHECK(error_of(fs::symlink(bad, scratch.path("x"))) == refused);
  CHECK(error_of(fs::symlink("x", bad)) == refused);
  CHECK(error_of(fs::read_link(bad)) == refused);
  CHECK(error_of(fs::canonicalize(bad)) == refused);
  CHECK(error_of(fs::set_permissions(bad, 0)) == refused);
  CHECK(error_of(fs::copy(good, bad)) == refused);
  CHECK(error_of(fs::copy(bad, good)) == refused);
  CHECK(error_of(fs::create_dir_all(bad)) == refused);
  CHECK(error_of(fs::remove_dir(bad)) == refused);
  CHECK(error_of(fs::remove_dir_all(bad)) == refused);
  CHECK(error_of(fs::read_dir(bad)) == refused);
  CHECK(scratch.read("good") == "text");
  CHECK_FALSE(scratch.has("x"));
}

TEST_CASE("names: an interrupted call is repeated") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("a");
    struct Row {
      const char* call;
      std::function<ramie::Result<void>()> operation;
    };
    const Row rows[] = {
        {"renameat2", [&] { return fs::rename(scratch.path("a"), scratch.path("b")); }},
        {"linkat", [&] { return fs::hard_link(scratch.path("b"), scratch.path("c")); }},
        {"symlinkat", [&] { return fs::symlink("b", scratch.path("d")); }},
        {"mkdirat", [&] { return fs::create_dir(scratch.path("e")); }},
        {"unlinkat", [&] { return fs::remove_file(scratch.path("b")); }},
        {"fchmodat", [&] { return fs::set_permissions(scratch.path("c"), 0600); }},
    };
    for (const Row& row : rows) {
      INFO(row.call);
      const AtCall interrupting(row.call, 1, [] { return -EINTR; });
      CHECK(error_of(row.operation()) == std::error_code());
      CHECK(interrupting.calls_after() == 1);
    }
  });
}
