// Tests File against a model in memory: reading, writing and seeking; and the file itself.
#include "tests/fs/support.hpp"
#include "tests/support/fault_plan.hpp"

#include <fcntl.h>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;
using fs::Whence;

File open_new(const std::string& path) {
  return ramie::or_throw(OpenOptions().read().write().create().truncate().open(path));
}

std::string read_some(File& file, std::size_t at_most) {
  std::string text(at_most, '\0');
  text.resize(ramie::or_throw(file.read(writable_bytes(text))));
  return text;
}

}  // namespace

TEST_CASE("File: reads, writes, seeks and truncations in any order equal a model in memory") {
  const Folder folder;
  unsigned seed = 1;
  everywhere([&] {
    File file = open_new(folder / "file");
    std::string model;
    std::size_t at = 0;
    std::mt19937 random(seed++);
    const auto below = [&](std::size_t limit) {
      return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
    };
    for (int i = 0; i < 600; ++i) {
      const std::size_t size = below(3) == 0 ? below(200'000) : below(300);
      switch (below(6)) {
        case 0: {
          const std::string got = read_some(file, size);
          REQUIRE(got == (at < model.size() ? model.substr(at, size) : ""));
          at += got.size();
          break;
        }
        case 1: {
          const std::string text = pattern(size);
          REQUIRE(file.write_all(bytes(text)).has_value());
          if (size > 0 && model.size() < at + size) model.resize(at + size);
          model.replace(at, size, text);
          at += size;
          break;
        }
        case 2: {
          at = below(model.size() + 100);
          REQUIRE(file.seek(static_cast<std::int64_t>(at)) == at);
          if (at > model.size()) at = *file.seek(0, Whence::end);
          break;
        }
        case 3: {
          const std::size_t to = below(model.size() + 1);
          const std::string text = pattern(size);
          REQUIRE(file.write_all_at(bytes(text), to).has_value());
          if (model.size() < to + size) model.resize(to + size);
          model.replace(to, size, text);
          break;
        }
        case 4: {
          const std::size_t from = below(model.size() + 1);
          std::string got(std::min(size, model.size() - from), '\0');
          REQUIRE(file.read_exact_at(writable_bytes(got), from).has_value());
          REQUIRE(got == model.substr(from, got.size()));
          break;
        }
        default: {
          if (below(4) != 0) break;
          model.resize(below(model.size() + 1000));
          REQUIRE(file.set_len(model.size()).has_value());
          at = *file.seek(static_cast<std::int64_t>(std::min(at, model.size())));
        }
      }
      REQUIRE(file.position() == at);
    }
    CHECK(same(content_of(folder / "file"), model));
  });
}

TEST_CASE("File: a read at the end is short, behind it empty; read_exact returns an error") {
  const Folder folder;
  put(folder / "file", "0123456789");
  everywhere([&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::string four(4, '\0');
    CHECK(file.seek(7) == 7U);
    CHECK(read_some(file, 100) == "789");
    CHECK(read_some(file, 100).empty());
    CHECK(*file.read_at(writable_bytes(four), 8) == 2);
    CHECK(*file.read_at(writable_bytes(four), 10) == 0);
    CHECK(*file.read_at(writable_bytes(four), 1000) == 0);
    CHECK(file.seek(-4, Whence::end) == 6U);
    CHECK(file.read_exact(writable_bytes(four)).has_value());
    CHECK(four == "6789");
    CHECK(file.seek(-2, Whence::current) == 8U);
    CHECK(error_of(file.read_exact(writable_bytes(four))) == std::errc::no_message_available);
    CHECK(file.position() == 10U);
    CHECK(error_of(file.read_exact_at(writable_bytes(four), 7)) == std::errc::no_message_available);
    CHECK(file.read_exact({}).has_value());
    CHECK(file.read_exact_at({}, 5).has_value());
  });
}

TEST_CASE("File: five megabytes in one call, in each direction") {
  const Folder folder;
  const std::string text = pattern((5U << 20) + 3);
  everywhere([&] {
    File file = open_new(folder / "file");
    REQUIRE(file.write_all(bytes(text)).has_value());
    CHECK(file.position() == text.size());
    CHECK(same(content_of(folder / "file"), text));
    std::string got(text.size(), '\0');
    REQUIRE(file.read_exact_at(writable_bytes(got), 0).has_value());
    CHECK(same(got, text));
    REQUIRE(file.seek(1) == 1U);
    std::vector<std::byte> rest;
    CHECK(file.read_to_end(rest) == text.size() - 1);
    CHECK(std::ranges::equal(rest, bytes(text).subspan(1)));
  });
}

TEST_CASE("File: read_to_end appends the rest of the file to the buffer") {
  const Folder folder;
  put(folder / "file", "0123456789");
  everywhere([&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::string text = "before ";
    REQUIRE(file.seek(8) == 8U);
    CHECK(file.read_to_string(text) == 2U);
    CHECK(text == "before 89");
    CHECK(file.read_to_string(text) == 0U);
    CHECK(text == "before 89");
    REQUIRE(file.seek(1000) == 1000U);
    CHECK(file.read_to_string(text) == 0U);
    std::string maps;
    File proc = ramie::or_throw(File::open("/proc/self/maps"));
    const auto size = proc.read_to_string(maps);
    CHECK(size == maps.size());
    CHECK(maps.size() > 4096);
  });
}

TEST_CASE("File: several buffers are used in order, also empty ones and more than one call takes") {
  const Folder folder;
  everywhere([&] {
    File file = open_new(folder / "file");
    const std::array<std::span<const std::byte>, 4> out{bytes("ab"), bytes(""), bytes("cde"),
                                                        bytes("f")};
    CHECK(*file.write_vectored(out) == 6);
    CHECK(*file.write_vectored_at(out, 3) == 6);
    CHECK(content_of(folder / "file") == "abcabcdef");
    std::string first(2, '\0');
    std::string second(9, '\0');
    const std::array<std::span<std::byte>, 3> in{writable_bytes(first), std::span<std::byte>(),
                                                 writable_bytes(second)};
    CHECK(*file.read_vectored_at(in, 1) == 8);
    CHECK(first + second.substr(0, 6) == "bcabcdef");
    CHECK(file.position() == 6U);
    CHECK(*file.read_vectored(in) == 3);
    CHECK(*file.read_vectored({}) == 0);
    CHECK(*file.write_vectored(std::vector<std::span<const std::byte>>(100)) == 0);

    const std::string text = pattern(200);
    std::vector<std::span<const std::byte>> parts(70);
    for (std::size_t i = 0; i < text.size(); ++i) parts.push_back(bytes(text).subspan(i, 1));
    REQUIRE(file.set_len(0).has_value());
    CHECK(file.write_vectored_at(parts, 0) == 64U);
    CHECK(content_of(folder / "file") == text.substr(0, 64));
  });
}

TEST_CASE("File: several large buffers, at the position and at offsets") {
  const Folder folder;
  constexpr std::size_t kSize = 150'000;
  const std::string text = pattern(2 * kSize);
  everywhere([&] {
    File file = open_new(folder / "file");
    const std::array out{bytes(text).first(kSize), bytes(text).subspan(kSize)};
    REQUIRE(file.write_vectored(out) == 2 * kSize);
    REQUIRE(file.write_vectored(out) == 2 * kSize);
    CHECK(same(content_of(folder / "file"), text + text));
    std::string got(2 * kSize, '\0');
    const std::array in{writable_bytes(got).first(kSize), writable_bytes(got).subspan(kSize)};
    REQUIRE(file.seek(0) == 0U);
    for (int i = 0; i < 2; ++i) {
      got.assign(got.size(), '\0');
      REQUIRE(file.read_vectored(in) == 2 * kSize);
      CHECK(same(got, text));
    }
    CHECK(file.read_vectored(in) == 0U);
    CHECK(file.read_vectored_at(in, 2 * kSize) == 2 * kSize);
    CHECK(same(got, text));
  });
}

TEST_CASE("File: append writes to the end at any position") {
  const Folder folder;
  everywhere([&] {
    put(folder / "file", "begin");
    auto one = ramie::or_throw(OpenOptions().read().append().open(folder / "file"));
    auto two = ramie::or_throw(OpenOptions().append().open(folder / "file"));
    CHECK(one.write_all(bytes(" 1")).has_value());
    CHECK(two.write_all(bytes(" 2")).has_value());
    CHECK(one.seek(0) == 0U);
    CHECK(one.write_all(bytes(" 3")).has_value());
    CHECK(one.write_all_at(bytes(" 4"), 0).has_value());
    CHECK(content_of(folder / "file") == "begin 1 2 3 4");
    CHECK(one.position() == 11U);
  });
}

TEST_CASE("File: every call of one without a descriptor returns bad_file_descriptor") {
  const Folder folder;
  everywhere([&] {
    File file = open_new(folder / "file");
    const int fd = file.fd();
    File other = std::move(file);
    CHECK(other.fd() == fd);
    std::string room(1, '\0');
    std::vector<std::byte> content;
    const auto refuses = [](const auto& result) {
      return error_of(result) == std::errc::bad_file_descriptor;
    };
    CHECK_FALSE(file.is_open());
    CHECK(refuses(file.read(writable_bytes(room))));
    CHECK(refuses(file.read({})));
    CHECK(refuses(file.read_exact(writable_bytes(room))));
    CHECK(refuses(file.read_to_end(content)));
    CHECK(refuses(file.write(bytes("x"))));
    CHECK(refuses(file.write_all(bytes("x"))));
    CHECK(refuses(file.read_at(writable_bytes(room), 0)));
    CHECK(refuses(file.read_exact_at(writable_bytes(room), 0)));
    CHECK(refuses(file.write_at(bytes("x"), 0)));
    CHECK(refuses(file.write_all_at(bytes("x"), 0)));
    CHECK(refuses(file.seek(0)));
    CHECK(refuses(file.position()));
    CHECK(refuses(file.sync_all()));
    CHECK(refuses(file.sync_data()));
    CHECK(refuses(file.set_len(0)));
    CHECK(refuses(file.allocate(0, 1)));
    CHECK(refuses(file.metadata()));
    CHECK(refuses(file.set_permissions(0600)));
    CHECK(refuses(file.set_times({})));
    CHECK(refuses(file.lock()));
    CHECK(refuses(file.try_lock()));
    CHECK(refuses(file.unlock()));
    CHECK(refuses(file.close()));
    file = std::move(other);
    CHECK(file.write_all(bytes("x")).has_value());
    CHECK(file.close().has_value());
    CHECK(refuses(file.close()));
    CHECK(::fcntl(fd, F_GETFD) == -1);
    CHECK(refuses(File().close()));
    CHECK_FALSE(File::from_fd(-1).is_open());
  });
}

TEST_CASE("File: into_fd returns the descriptor, from_fd takes it over") {
  const Folder folder;
  everywhere([&] {
    File file = open_new(folder / "file");
    CHECK(file.write_all(bytes("content")).has_value());
    const int fd = file.into_fd();
    CHECK_FALSE(file.is_open());
    CHECK(::fcntl(fd, F_GETFD) != -1);
    File again = File::from_fd(fd);
    CHECK(again.position() == 7U);
    File target = open_new(folder / "other");
    const int replaced = target.fd();
    target = std::move(again);
    CHECK(::fcntl(replaced, F_GETFD) == -1);
    CHECK(*target.read_at({}, 0) == 0);
  });
}

TEST_CASE("File: close returns the file system's error, and the descriptor is closed") {
  const Folder folder;
  everywhere_on_pool([&] {
    const PlannedFaults faults("close_file 1 EIO; close_file 2 EINTR");
    File file = open_new(folder / "file");
    const int fd = file.fd();
    CHECK(error_of(file.close()) == std::errc::io_error);
    CHECK_FALSE(file.is_open());
    CHECK(::fcntl(fd, F_GETFD) == -1);
  });
}

TEST_CASE("File: offsets above the kernel's limit are refused") {
  const Folder folder;
  constexpr std::uint64_t kBeyond = std::uint64_t{1} << 63;
  everywhere([&] {
    File file = open_new(folder / "file");
    CHECK(file.write_all(bytes("content")).has_value());
    std::string room(3, '\0');
    const auto refuses = [](const auto& result) {
      return error_of(result) == std::errc::invalid_argument;
    };
    for (const std::uint64_t offset : {kBeyond, ~std::uint64_t{0}}) {
      CHECK(refuses(file.read_at(writable_bytes(room), offset)));
      CHECK(refuses(file.read_exact_at(writable_bytes(room), offset)));
      CHECK(refuses(file.write_at(bytes("x"), offset)));
      CHECK(refuses(file.write_all_at(bytes("x"), offset)));
      CHECK(refuses(file.set_len(offset)));
      CHECK(refuses(file.allocate(offset, 1)));
      CHECK(refuses(file.allocate(0, offset)));
    }
    CHECK(refuses(file.read_exact_at(writable_bytes(room), kBeyond - 1)));
    CHECK(refuses(file.seek(-1)));
    CHECK(refuses(file.seek(-100, Whence::current)));
    CHECK(refuses(file.allocate(0, 0)));
    CHECK(file.position() == 7U);
    CHECK(content_of(folder / "file") == "content");
  });
}

TEST_CASE("File: length, allocation, permissions and times can be set and read") {
  const Folder folder;
  everywhere([&] {
    File file = open_new(folder / "file");
    REQUIRE(file.write_all(bytes("content")).has_value());
    CHECK(file.set_len(3).has_value());
    CHECK(content_of(folder / "file") == "con");
    CHECK(file.set_len(5).has_value());
    CHECK(content_of(folder / "file") == std::string("con\0\0", 5));
    const auto allocated = file.allocate(4096, 100'000);
    if (allocated) {
      CHECK(file.metadata()->size == 104'096);
      CHECK(file.metadata()->blocks * 512 >= 100'000);
    } else {
      CHECK(allocated.error() == std::errc::operation_not_supported);
    }
    CHECK(file.sync_data().has_value());
    CHECK(file.sync_all().has_value());

    CHECK(file.set_permissions(0751).has_value());
    CHECK(file.metadata()->mode == 0751);
    const auto before = ramie::or_throw(file.metadata());
    const fs::Metadata::Time then(1'234'567'890'123'456'789ns);
    CHECK(file.set_times({.modified = then}).has_value());
    CHECK(file.metadata()->modified == then);
    CHECK(file.metadata()->accessed == before.accessed);
    const fs::Metadata::Time long_ago(-1ns);
    CHECK(file.set_times({.accessed = long_ago}).has_value());
    CHECK(file.metadata()->accessed == long_ago);
    CHECK(file.metadata()->modified == then);
    CHECK(file.metadata()->inode == fs::metadata(folder / "file")->inode);
    CHECK(error_of(ramie::or_throw(File::open(folder / "file")).set_len(1)) ==
          std::errc::invalid_argument);
  });
}

TEST_CASE("File: errors of the disk are returned by their call, and nothing moves") {
  const Folder folder;
  put(folder / "file", pattern(1000));
  everywhere_on_pool([&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::string room(100, '\0');
    {
      const PlannedFaults faults("preadv2 1 EIO");
      CHECK(error_of(file.read(writable_bytes(room))) == std::errc::io_error);
      CHECK(file.position() == 0U);
    }
    auto full = ramie::or_throw(OpenOptions().write().open("/dev/full"));
    CHECK(error_of(full.write(bytes("x"))) == std::errc::no_space_on_device);
    CHECK(error_of(full.write_all(bytes(pattern(100'000)))) == std::errc::no_space_on_device);
    auto directory = ramie::or_throw(File::open(folder.path()));
    CHECK(error_of(directory.read(writable_bytes(room))) == std::errc::is_a_directory);
    const PlannedFaults faults("fsync 1 EIO; fdatasync 1 ENOSPC");
    CHECK(error_of(file.sync_all()) == std::errc::io_error);
    CHECK(error_of(file.sync_data()) == std::errc::no_space_on_device);
  });
}

TEST_CASE("File: short and interrupted transfers continue and are counted right") {
  const Folder folder;
  everywhere_on_pool([&] {
    File file = open_new(folder / "file");
    const std::string text = pattern(3000);
    const PlannedFaults faults(
        "preadv2 p=0.2 EINTR; preadv2 p=0.1 EAGAIN; preadv2 p=0.5 short=7;"
        "pwritev2 p=0.2 EINTR; pwritev2 p=0.5 short=9");
    // EAGAIN has a meaning only with RWF_NOWAIT; on the slow path it is an error like others.
    const auto patiently = [](auto&& call) {
      for (int i = 0; i < 50; ++i) {
        const auto result = call();
        if (result) return true;
        if (result.error() != std::errc::resource_unavailable_try_again) return false;
      }
      return false;
    };
    CHECK(file.write_all(bytes(text)).has_value());
    CHECK(file.position() == 3000U);
    std::string got;
    while (got.size() < text.size()) {
      std::string part(std::min<std::size_t>(100, text.size() - got.size()), '\0');
      std::size_t n = 0;
      REQUIRE(patiently([&]() -> ramie::Result<void> {
        const auto result = file.read_at(writable_bytes(part), got.size());
        if (!result) return ramie::failure(result.error());
        n = *result;
        return {};
      }));
      got += part.substr(0, n);
    }
    CHECK(same(got, text));
    CHECK(faults.all_hits() > 0);
  });
}
