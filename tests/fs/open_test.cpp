// Tests OpenOptions: each combination equals one of open(2), or is refused.
#include "tests/fs/disk.hpp"
#include "tests/fs/support.hpp"
#include "tests/support/fault.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;

// The bits of a combination.
constexpr unsigned kRead = 1;
constexpr unsigned kWrite = 2;
constexpr unsigned kAppend = 4;
constexpr unsigned kTruncate = 8;
constexpr unsigned kCreate = 16;
constexpr unsigned kCreateNew = 32;

OpenOptions options(unsigned bits) {
  const auto has = [&](unsigned bit) { return (bits & bit) != 0; };
  OpenOptions options;
  options.read(has(kRead)).write(has(kWrite)).append(has(kAppend)).truncate(has(kTruncate));
  return options.create(has(kCreate)).create_new(has(kCreateNew));
}

// The table of Rust's std; -1 means refused.
int expected_flags(unsigned bits) {
  const bool writes = (bits & (kWrite | kAppend)) != 0;
  if ((bits & (kRead | kWrite | kAppend)) == 0) return -1;
  if (!writes && (bits & (kTruncate | kCreate | kCreateNew)) != 0) return -1;
  const bool makes_anew = (bits & kCreateNew) != 0;
  if ((bits & kAppend) != 0 && (bits & kTruncate) != 0 && !makes_anew) return -1;
  int flags = !writes ? O_RDONLY : (bits & kRead) != 0 ? O_RDWR : O_WRONLY;
  if ((bits & kAppend) != 0) flags |= O_APPEND;
  if (makes_anew) return flags | O_CREAT | O_EXCL;
  if ((bits & kCreate) != 0) flags |= O_CREAT;
  if ((bits & kTruncate) != 0) flags |= O_TRUNC;
  return flags;
}

struct Seen {
  int error = 0;
  int flags = 0;
  std::string content;
  bool operator==(const Seen&) const = default;
};

Seen seen_after(int error, int fd, const std::string& path) {
  constexpr int kKept = O_ACCMODE | O_APPEND;
  return {error, fd < 0 ? 0 : ::fcntl(fd, F_GETFL) & kKept, content_of(path)};
}

Seen by_kernel(int flags, const std::string& path) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  const int error = fd < 0 ? errno : 0;
  const Seen seen = seen_after(error, fd, path);
  if (fd >= 0) ::close(fd);
  return seen;
}

}  // namespace

TEST_CASE("OpenOptions: each of the 64 combinations equals open(2) or is refused") {
  const Folder folder;
  const std::string path = folder / "file";
  everywhere([&] {
    for (unsigned bits = 0; bits < 64; ++bits) {
      for (const bool is_there_before : {true, false}) {
        CAPTURE(bits, is_there_before);
        const auto prepare = [&] {
          std::filesystem::remove(path);
          if (is_there_before) put(path, "content");
        };
        prepare();
        const int flags = expected_flags(bits);
        if (flags < 0) {
          CHECK(error_of(options(bits).open(path)) == std::errc::invalid_argument);
          CHECK(is_there(path) == is_there_before);
          CHECK(content_of(path) == (is_there_before ? "content" : ""));
          continue;
        }
        const Seen expected = by_kernel(flags, path);
        prepare();
        const auto file = options(bits).open(path);
        CHECK(seen_after(error_of(file).value(), file ? file->fd() : -1, path) == expected);
        if (file) CHECK((::fcntl(file->fd(), F_GETFD) & FD_CLOEXEC) != 0);
      }
    }
  });
}

TEST_CASE("OpenOptions: direct, sync, dsync and custom flags reach the kernel") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, "content");
  everywhere([&] {
    const auto flags = [&](OpenOptions options) {
      const auto file = options.open(path);
      REQUIRE(file.has_value());
      return ::fcntl(file->fd(), F_GETFL);
    };
    CHECK((flags(OpenOptions().read()) & (O_DIRECT | O_SYNC | O_NOATIME)) == 0);
    CHECK((flags(OpenOptions().write().sync()) & O_SYNC) == O_SYNC);
    CHECK((flags(OpenOptions().write().dsync()) & O_SYNC) == O_DSYNC);
    CHECK((flags(OpenOptions().read().custom_flags(O_NOATIME)) & O_NOATIME) == O_NOATIME);
    CHECK((flags(OpenOptions().read().custom_flags(O_RDWR)) & O_ACCMODE) == O_RDONLY);
    const auto direct = OpenOptions().read().direct().open(path);
    if (direct) CHECK((::fcntl(direct->fd(), F_GETFL) & O_DIRECT) != 0);
    else CHECK(direct.error() == std::errc::invalid_argument);
  });
}

TEST_CASE("OpenOptions: no_follow refuses a link, and the umask is taken off the mode") {
  const Folder folder;
  put(folder / "file", "content");
  REQUIRE(::symlink("file", (folder / "link").c_str()) == 0);
  const mode_t before = ::umask(027);
  everywhere([&] {
    CHECK(error_of(OpenOptions().read().no_follow().open(folder / "link")) ==
          std::errc::too_many_symbolic_link_levels);
    CHECK(OpenOptions().read().no_follow().open(folder / "file").has_value());
    CHECK(OpenOptions().read().open(folder / "link").has_value());
    std::filesystem::remove(folder / "new");
    REQUIRE(OpenOptions().write().create_new().mode(0772).open(folder / "new").has_value());
    CHECK(fs::metadata(folder / "new")->mode == 0750);
    std::filesystem::remove(folder / "usual");
    REQUIRE(File::create(folder / "usual").has_value());
    CHECK(fs::metadata(folder / "usual")->mode == 0640);
  });
  ::umask(before);
}

TEST_CASE("create_new: one of many simultaneous calls makes the file") {
  const Folder folder;
  for (const std::size_t workers : kWorkerCounts) {
    const std::string path = folder / std::to_string(workers);
    in_runtime(workers, [&] {
      std::vector<ramie::JoinHandle<std::error_code>> racers;
      for (int i = 0; i < 30; ++i)
        racers.push_back(
            ramie::spawn([&] { return error_of(OpenOptions().write().create_new().open(path)); }));
      int winners = 0;
      for (auto& racer : racers) {
        const std::error_code error = *racer.join();
        if (!error) ++winners;
        else CHECK(error == std::errc::file_exists);
      }
      CHECK(winners == 1);
    });
  }
}

TEST_CASE("File::open reads, File::create makes or empties") {
  const Folder folder;
  const std::string path = folder / "file";
  everywhere([&] {
    std::filesystem::remove(path);
    CHECK(error_of(File::open(path)) == std::errc::no_such_file_or_directory);
    auto made = ramie::or_throw(File::create(path));
    CHECK(made.write_all(bytes("old content")).has_value());
    CHECK(error_of(made.read({})) == std::error_code());
    std::string room(1, '\0');
    CHECK(error_of(made.read(writable_bytes(room))) == std::errc::bad_file_descriptor);
    CHECK(content_of(path) == "old content");
    REQUIRE(File::create(path).has_value());
    CHECK(content_of(path).empty());
    auto reader = ramie::or_throw(File::open(std::filesystem::path(path)));
    CHECK(error_of(reader.write(bytes("x"))) == std::errc::bad_file_descriptor);
  });
}

TEST_CASE("Opening: a failure returns the kernel's error, and no descriptor is lost") {
  const Folder folder;
  put(folder / "file", "");
  everywhere_on_pool([&] {
    CHECK(error_of(File::create(folder.path())) == std::errc::is_a_directory);
    CHECK(error_of(File::open(folder / "file/below")) == std::errc::not_a_directory);
    CHECK(error_of(File::create(folder / "none/below")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(File::open(std::string("a\0b", 3))) == std::errc::invalid_argument);
    {
      const Fault fault({.calls = {"openat"}, .error = EMFILE});
      CHECK(error_of(File::open(folder / "file")) == std::errc::too_many_files_open);
    }
    const Fault fault({.calls = {"openat"}, .error = EINTR, .times = 3});
    CHECK(File::open(folder / "file").has_value());
    CHECK(fault.hits() == 3);
  });
}

TEST_CASE("direct: aligned transfers bypass the page cache") {
  const Folder folder;
  const std::string path = folder / "file";
  constexpr std::size_t kSize = 1 << 20;
  put(path, pattern(kSize));
  if (unaligned_direct_read(path) == EOPNOTSUPP) RAMIE_SKIP("needs a file system with O_DIRECT");
  const AlignedMemory memory(kSize);
  everywhere([&] {
    auto file = OpenOptions().read().write().direct().open(path);
    REQUIRE(file.has_value());
    const std::span room = memory.room();
    REQUIRE(file->read_exact(room).has_value());
    CHECK(std::ranges::equal(room, bytes(pattern(kSize))));
    std::ranges::fill(room.first(4096), std::byte{'!'});
    CHECK(file->write_all_at(room.first(4096), 8192).has_value());
    CHECK(content_of(path).substr(8192, 4096) == std::string(4096, '!'));
    CHECK(file->write_all_at(bytes(pattern(kSize)).first(0), 0).has_value());
    CHECK(*file->read(room) == 0);
    put(path, pattern(kSize));
  });
}

TEST_CASE("direct: a transfer that is not aligned is refused") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, pattern(8192));
  if (unaligned_direct_read(path) != EINVAL)
    RAMIE_SKIP("needs a file system whose O_DIRECT refuses what is not aligned");
  const AlignedMemory memory(8192);
  everywhere([&] {
    auto file = ramie::or_throw(OpenOptions().read().direct().open(path));
    CHECK(error_of(file.read_at(memory.room().subspan(1, 100), 1)) == std::errc::invalid_argument);
  });
}
