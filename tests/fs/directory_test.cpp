// Tests making, removing and listing directories.
#include "tests/fs/scratch.hpp"

#include <ramie/cancel.hpp>
#include <ramie/fs/directory.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using ramie::errc;

// Returns all names, or the error. A name that appears twice becomes "twice".
std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> names;
  auto directory = ramie::or_throw(fs::read_dir(path));
  while (auto entry = ramie::or_throw(directory.next()))
    names.insert(names.contains(entry->name()) ? "twice" : entry->name());
  return names;
}

}  // namespace

TEST_CASE("create_dir: makes one directory, with its mode less the umask") {
  everywhere([] {
    const Scratch scratch;
    REQUIRE(fs::create_dir(scratch.path("a")).has_value());
    CHECK(stdfs::is_directory(scratch.path("a")));
    REQUIRE(fs::create_dir(scratch.path("b"), 0700).has_value());
    CHECK(scratch.mode_of("b") == 0700);
    CHECK(error_of(fs::create_dir(scratch.path("a"))) == std::errc::file_exists);
    CHECK(error_of(fs::create_dir(scratch.path("x/y"))) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::create_dir("")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::create_dir(std::string_view("a\0b", 3))) == std::errc::invalid_argument);
    CHECK(error_of(fs::create_dir("/" + std::string(5000, 'x'))) == std::errc::filename_too_long);
    CHECK_FALSE(scratch.has("x"));
  });
}

TEST_CASE("create_dir_all: makes missing directories; existing ones are no error") {
  everywhere([] {
    const Scratch scratch;
    for (const char* path : {"a", "a", "a/b/c/d", "a/b", "e/f/", "g//h///i", "j/../k/l", "./m/n"}) {
      INFO(path);
      REQUIRE(fs::create_dir_all(scratch.path(path)).has_value());
      CHECK(stdfs::is_directory(scratch.path(path)));
    }
    const mode_t before = ::umask(022);
    REQUIRE(fs::create_dir_all(scratch.path("o/p"), 0710).has_value());
    ::umask(before);
    CHECK(scratch.mode_of("o") == 0710);
    REQUIRE(fs::create_dir_all("/").has_value());
    REQUIRE(fs::create_dir_all("/tmp").has_value());
    stdfs::create_directory_symlink(scratch.path("a"), scratch.path("link"));
    REQUIRE(fs::create_dir_all(scratch.path("link/new")).has_value());
    CHECK(stdfs::is_directory(scratch.path("a/new")));
    REQUIRE(fs::create_dir_all(scratch.path("link")).has_value());
  });
}

TEST_CASE("create_dir_all: returns an error for something else in the way, and leaves it alone") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("file");
    stdfs::create_symlink("nowhere", scratch.path("dangling"));
    CHECK(error_of(fs::create_dir_all(scratch.path("file"))) == std::errc::file_exists);
    CHECK(error_of(fs::create_dir_all(scratch.path("file/a"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::create_dir_all(scratch.path("file/a/b"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::create_dir_all(scratch.path("dangling"))) == std::errc::file_exists);
    CHECK(error_of(fs::create_dir_all(scratch.path("dangling/a"))) == std::errc::file_exists);
    CHECK(error_of(fs::create_dir_all("")) == std::errc::no_such_file_or_directory);
    CHECK(scratch.read("file") == "text");
  });
}

TEST_CASE("create_dir_all: many at once, all succeed") {
  in_runtime(4, [] {
    const Scratch scratch;
    for (int round = 0; round < 20; ++round) {
      const std::string base = std::to_string(round) + "/b/c/d/e/f/g/h/";
      std::vector<ramie::JoinHandle<ramie::Result<void>>> makers;
      for (int i = 0; i < 8; ++i)
        makers.push_back(
            ramie::spawn([&, i] { return fs::create_dir_all(scratch.path(base + "xy"[i % 2])); }));
      for (auto& maker : makers) CHECK(maker.join().has_value());
      CHECK(stdfs::is_directory(scratch.path(base + "x")));
      CHECK(stdfs::is_directory(scratch.path(base + "y")));
    }
  });
}

TEST_CASE("remove_dir: only an empty directory") {
  everywhere([] {
    const Scratch scratch;
    scratch.make_dir("full/inner");
    scratch.write("file");
    CHECK(error_of(fs::remove_dir(scratch.path("full"))) == std::errc::directory_not_empty);
    CHECK(error_of(fs::remove_dir(scratch.path("file"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::remove_dir(scratch.path("none"))) == std::errc::no_such_file_or_directory);
    CHECK(fs::remove_dir(scratch.path("full/inner")).has_value());
    CHECK(fs::remove_dir(scratch.path("full")).has_value());
    CHECK_FALSE(scratch.has("full"));
  });
}

TEST_CASE("read_dir: every name once, with its type") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("file");
    scratch.make_dir("dir");
    stdfs::create_symlink("dir", scratch.path("link"));
    REQUIRE(::mkfifo(scratch.path("fifo").c_str(), 0600) == 0);
    auto directory = ramie::or_throw(fs::read_dir(scratch.path()));
    std::size_t n = 0;
    while (auto entry = ramie::or_throw(directory.next())) {
      ++n;
      CHECK(entry->path() == scratch.path(entry->name()));
      struct stat data{};
      REQUIRE(::lstat(entry->path().c_str(), &data) == 0);
      CHECK(entry->inode() == data.st_ino);
      const auto wanted = entry->name() == "file"   ? fs::FileType::file
                          : entry->name() == "dir"  ? fs::FileType::directory
                          : entry->name() == "link" ? fs::FileType::symlink
                                                    : fs::FileType::fifo;
      CHECK(entry->type() == wanted);
    }
    CHECK(n == 4);
    CHECK_FALSE(ramie::or_throw(directory.next()).has_value());
    CHECK(ramie::or_throw(ramie::or_throw(fs::read_dir("/")).next())->path().starts_with('/'));
    CHECK(ramie::or_throw(ramie::or_throw(fs::read_dir("/")).next())->path().rfind('/') == 0);
  });
}

TEST_CASE("read_dir: returns an error for what cannot be listed") {
  everywhere([] {
    const Scratch scratch;
    scratch.write("file");
    CHECK(error_of(fs::read_dir(scratch.path("file"))) == std::errc::not_a_directory);
    CHECK(error_of(fs::read_dir(scratch.path("none"))) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::ReadDir().next()) == std::errc::bad_file_descriptor);
    scratch.make_dir("dir");
    CHECK(names_in(scratch.path("dir")).empty());
    auto directory = ramie::or_throw(fs::read_dir(scratch.path("dir")));
    stdfs::remove(scratch.path("dir"));
    CHECK_FALSE(ramie::or_throw(directory.next()).has_value());
    const AtCall failing("getdents64", 1, [] { return -EIO; });
    auto broken = ramie::or_throw(fs::read_dir(scratch.path()));
    CHECK(error_of(broken.next()) == std::errc::io_error);
    CHECK(ramie::or_throw(broken.next())->name() == "file");
  });
}

TEST_CASE("read_dir: ten thousand names, each once") {
  const Scratch scratch(kMemory);
  std::set<std::string> wanted;
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = "a name that is somewhat long " + std::to_string(i);
    REQUIRE(::mknod(scratch.path(name).c_str(), S_IFREG | 0600, 0) == 0);
    wanted.insert(name);
  }
  CHECK(names_in(scratch.path()) == wanted);
  in_runtime(2, [&] {
    CHECK(names_in(scratch.path()) == wanted);
    std::vector<ramie::JoinHandle<std::size_t>> readers;
    for (int i = 0; i < 4; ++i)
      readers.push_back(ramie::spawn([&] { return names_in(scratch.path()).size(); }));
    for (auto& reader : readers) CHECK(*reader.join() == wanted.size());
  });
}

TEST_CASE("read_dir: entries that stay are listed once while others come and go") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    for (int i = 0; i < 3000; ++i)
      scratch.write((i % 2 == 0 ? "stays" : "goes") + std::to_string(i));
    auto directory = ramie::or_throw(fs::read_dir(scratch.path()));
    std::multiset<std::string> seen;
    for (int i = 0; auto entry = ramie::or_throw(directory.next()); ++i) {
      seen.insert(entry->name());
      if (i != 100) continue;
      for (int j = 0; j < 3000; ++j) {
        if (j % 2 == 1) stdfs::remove(scratch.path("goes" + std::to_string(j)));
        if (j % 3 == 0) scratch.write("comes" + std::to_string(j));
      }
    }
    for (int i = 0; i < 3000; i += 2) {
      INFO(i);
      REQUIRE(seen.count("stays" + std::to_string(i)) == 1);
    }
    for (const std::string& name : seen) REQUIRE(seen.count(name) == 1);
  });
}

TEST_CASE("read_dir: a cancel loses no name") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    for (int i = 0; i < 3000; ++i) scratch.write(std::to_string(i));
    auto directory = ramie::or_throw(fs::read_dir(scratch.path()));
    std::set<std::string> seen;
    const ramie::CancellationToken stop;
    stop.cancel();
    int canceled = 0;
    for (bool is_at_end = false; !is_at_end;) {
      // The first call is cancelled. Whatever it returned, the next call must continue after it.
      for (auto entry : {ramie::until(stop, [&] { return directory.next(); }), directory.next()}) {
        if (!entry) {
          REQUIRE(entry.error() == errc::canceled);
          ++canceled;
        } else if (*entry) {
          REQUIRE(seen.insert((*entry)->name()).second);
        } else {
          is_at_end = true;
        }
      }
    }
    CHECK(canceled > 0);
    CHECK(seen.size() == 3000);
    CHECK(error_of(ramie::until(stop, [&] { return fs::read_dir(scratch.path()); })) ==
          errc::canceled);
    CHECK(error_of(ramie::until(stop, [&] { return fs::create_dir(scratch.path("new")); })) ==
          errc::canceled);
    CHECK_FALSE(scratch.has("new"));
  });
}
