// Tests Metadata: it equals what the kernel returns, and errors are the kernel's.
#include "tests/fs/support.hpp"
#include "tests/support/fault_plan.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using fs::FileType;

std::int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
std::int64_t nanoseconds(fs::Metadata::Time time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

// Runs in each place, from the kernel's caches and on the slow path.
template <class F>
void in_both_ways(F&& function) {
  everywhere(function);
  const PlannedFaults faults("openat2 1.. EAGAIN; statx_known 1.. EIO");
  everywhere(function);
}

}  // namespace

TEST_CASE("Metadata: every value equals that of stat(2)") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, pattern(10000));
  REQUIRE(::chmod(path.c_str(), 04640) == 0);
  REQUIRE(::link(path.c_str(), (folder / "second name").c_str()) == 0);
  in_both_ways([&] {
    struct stat raw{};
    REQUIRE(::stat(path.c_str(), &raw) == 0);
    const auto data = fs::metadata(path);
    REQUIRE(data.has_value());
    CHECK(data->is_file());
    CHECK_FALSE(data->is_directory());
    CHECK(data->size == 10000);
    CHECK(data->mode == 04640);
    CHECK(data->uid == raw.st_uid);
    CHECK(data->gid == raw.st_gid);
    CHECK(data->device == raw.st_dev);
    CHECK(data->inode == raw.st_ino);
    CHECK(data->links == 2);
    CHECK(data->blocks == static_cast<std::uint64_t>(raw.st_blocks));
    CHECK(data->block_size == static_cast<std::uint32_t>(raw.st_blksize));
    CHECK(nanoseconds(data->modified) == nanoseconds(raw.st_mtim));
    CHECK(nanoseconds(data->accessed) == nanoseconds(raw.st_atim));
    CHECK(nanoseconds(data->changed) == nanoseconds(raw.st_ctim));
    if (data->created) CHECK(*data->created <= data->changed);
  });
}

TEST_CASE("Metadata: every type of file is recognised") {
  const Folder folder;
  put(folder / "file", "");
  REQUIRE(::symlink("file", (folder / "link").c_str()) == 0);
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = folder / "socket";
  std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  in_both_ways([&] {
    const auto type = [](const std::string& path) {
      const auto data = fs::symlink_metadata(path);
      return data ? data->type : FileType::unknown;
    };
    CHECK(type(folder / "file") == FileType::file);
    CHECK(type(folder.path()) == FileType::directory);
    CHECK(type(folder / "link") == FileType::symlink);
    CHECK(type(folder / "fifo") == FileType::fifo);
    CHECK(type(name) == FileType::socket);
    CHECK(type("/dev/null") == FileType::character_device);
    CHECK(fs::symlink_metadata(folder / "link")->size == 4);
    CHECK(fs::metadata(folder / "link")->is_file());
    CHECK(fs::symlink_metadata(folder / "link")->is_symlink());
  });
  ::close(fd);
}

TEST_CASE("Metadata: a missing or inaccessible file gives the kernel's error") {
  const Folder folder;
  put(folder / "file", "");
  REQUIRE(::symlink("loop", (folder / "loop").c_str()) == 0);
  in_both_ways([&] {
    CHECK(error_of(fs::metadata(folder / "none")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::metadata(folder / "file/below")) == std::errc::not_a_directory);
    CHECK(error_of(fs::metadata(folder / "loop")) == std::errc::too_many_symbolic_link_levels);
    CHECK(fs::symlink_metadata(folder / "loop").has_value());
    CHECK(error_of(fs::metadata("")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(fs::metadata(std::string(300, 'x'))) == std::errc::filename_too_long);
  });
}

TEST_CASE("exists: true, false, or the error") {
  const Folder folder;
  put(folder / "file", "");
  REQUIRE(::symlink("nowhere", (folder / "broken").c_str()) == 0);
  REQUIRE(::symlink("loop", (folder / "loop").c_str()) == 0);
  in_both_ways([&] {
    CHECK(fs::exists(folder / "file") == true);
    CHECK(fs::exists(folder.path()) == true);
    CHECK(fs::exists(folder / "none") == false);
    CHECK(fs::exists(folder / "file/below") == false);
    CHECK(fs::exists(folder / "broken") == false);
    CHECK(error_of(fs::exists(folder / "loop")) == std::errc::too_many_symbolic_link_levels);
  });
}

TEST_CASE("Metadata: a fiber reads itself what the kernel has in its caches") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, "text");
  if (!has_known_names(path)) RAMIE_SKIP("needs openat2() by the cache of names");
  in_runtime(1, [&] {
    const auto runtime = ramie::runtime::Handle::current();
    auto file = ramie::or_throw(fs::File::open(path));
    const auto before = runtime.metrics();
    CHECK(fs::metadata(path)->size == 4);
    CHECK(fs::symlink_metadata(path)->is_file());
    CHECK(file.metadata()->size == 4);
    const auto after = runtime.metrics();
    CHECK(after.fs_uring + after.fs_pool == before.fs_uring + before.fs_pool);
    const PlannedFaults faults("openat2 1.. EAGAIN; statx_known 1.. EIO");
    CHECK(fs::metadata(path)->size == 4);
    CHECK(file.metadata()->size == 4);
    const auto last = runtime.metrics();
    CHECK(last.fs_uring + last.fs_pool == after.fs_uring + after.fs_pool + 2);
  });
}

TEST_CASE("Paths: text of every kind, terminated or not, short and long, but without a NUL") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, "");
  std::string detour = folder.path() + '/';
  while (detour.size() < 1000) detour += "./";
  std::string longest = folder.path() + '/';
  while (longest.size() + 4 < 4094) longest += "./";
  longest += std::string(4095 - 4 - longest.size(), '/');
  everywhere([&] {
    CHECK(fs::metadata(path).has_value());
    CHECK(fs::metadata(path.c_str()).has_value());
    CHECK(fs::metadata(std::string_view(path + "and more").substr(0, path.size())).has_value());
    CHECK(fs::metadata(std::filesystem::path(path)).has_value());
    CHECK(fs::metadata(detour + "file").has_value());
    CHECK((longest + "file").size() == 4095);
    CHECK(fs::metadata(longest + "file").has_value());
    CHECK(error_of(fs::metadata(longest + "/file")) == std::errc::filename_too_long);
    CHECK(error_of(fs::metadata(path + '\0')) == std::errc::invalid_argument);
    CHECK(error_of(fs::metadata(path + '\0' + "x")) == std::errc::invalid_argument);
  });
}
