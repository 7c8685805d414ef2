// Tests one File with many users: turns at the position, the page cache without a switch, fairness,
// other runtimes and plain threads.
#include "tests/fs/disk.hpp"
#include "tests/fs/support.hpp"
#include "tests/support/fault.hpp"

#include <ramie/scope.hpp>

#include <fcntl.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;

constexpr std::size_t kRecord = 100;

std::string record(std::size_t i) {
  std::string text = std::to_string(i) + ' ';
  text.resize(kRecord, static_cast<char>('a' + i % 26));
  return text;
}

std::string records(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += record(i);
  return text;
}

// Returns the records that a reader gets until the end.
std::vector<std::string> take_records(File& file) {
  std::vector<std::string> got;
  std::string room(kRecord, '\0');
  while (file.read_exact(writable_bytes(room))) got.push_back(room);
  return got;
}

// Counts calls of the library and fails none.
Fault counting(const char* call) { return Fault({.calls = {call}, .error = EIO, .times = 0}); }

}  // namespace

TEST_CASE("Turns: readers of one File share its content, each record goes to one of them") {
  const Folder folder;
  constexpr std::size_t kRecords = 2000;
  put(folder / "file", records(kRecords));
  for (const std::string& under : {kDisk, kMemory}) {  // kMemory often has no reads that never wait
    const Folder other(under);
    put(other / "file", records(kRecords));
    for (const std::size_t workers : kWorkerCounts) {
      CAPTURE(under, workers);
      in_runtime(workers, [&] {
        File file = ramie::or_throw(File::open(other / "file"));
        std::vector<ramie::JoinHandle<std::vector<std::string>>> readers;
        for (int i = 0; i < 8; ++i)
          readers.push_back(ramie::spawn([&] { return take_records(file); }));
        std::set<std::string> all;
        std::size_t count = 0;
        for (auto& reader : readers) {
          const auto got = *reader.join();
          count += got.size();
          all.insert(got.begin(), got.end());
        }
        CHECK(count == kRecords);
        CHECK(all.size() == kRecords);
        for (std::size_t i = 0; i < kRecords; ++i) REQUIRE(all.contains(record(i)));
      });
    }
  }
}

TEST_CASE("Turns: writes of several fibers through one File are whole, in some order") {
  const Folder folder;
  constexpr std::size_t kSize = 200'000;
  in_runtime(2, [&] {
    File file = ramie::or_throw(File::create(folder / "file"));
    std::vector<ramie::JoinHandle<bool>> writers;
    for (std::size_t i = 0; i < 10; ++i)
      writers.push_back(ramie::spawn([&, i] {
        const std::string text(kSize, static_cast<char>('a' + i));
        return file.write_all(bytes(text)).has_value();
      }));
    for (auto& writer : writers) CHECK(*writer.join());
    const std::string text = content_of(folder / "file");
    REQUIRE(text.size() == 10 * kSize);
    std::set<char> seen;
    for (std::size_t i = 0; i < 10; ++i) {
      CHECK(text.substr(i * kSize, kSize) == std::string(kSize, text[i * kSize]));
      seen.insert(text[i * kSize]);
    }
    CHECK(seen.size() == 10);
  });
}

TEST_CASE("Reads at offsets change neither each other nor the position") {
  const Folder folder;
  constexpr std::size_t kRecords = 500;
  put(folder / "file", records(kRecords));
  in_runtime(4, [&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::vector<ramie::JoinHandle<std::size_t>> readers;
    for (std::size_t r = 0; r < 8; ++r)
      readers.push_back(ramie::spawn([&, r] {
        std::size_t right = 0;
        std::string room(kRecord, '\0');
        for (std::size_t i = 0; i < kRecords; ++i) {
          const std::size_t wanted = (i * 7 + r * 31) % kRecords;
          const auto read = file.read_exact_at(writable_bytes(room), wanted * kRecord);
          if (read && room == record(wanted)) ++right;
        }
        return right;
      }));
    for (auto& reader : readers) CHECK(*reader.join() == kRecords);
    CHECK(file.position() == 0U);
  });
}

TEST_CASE("One File is used by two runtimes and plain threads at the same time") {
  const Folder folder;
  constexpr std::size_t kRecords = 3000;
  put(folder / "file", records(kRecords));
  in_runtime(2, [&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::vector<std::vector<std::string>> got(4);
    std::thread plain([&] { got[0] = take_records(file); });
    std::thread second([&] {
      auto runtime = make_runtime(1);
      runtime.block_on([&] {
        auto one = ramie::spawn([&] { got[1] = take_records(file); });
        got[2] = take_records(file);
        (void)one.join();
      });
    });
    got[3] = take_records(file);
    ramie::spawn_blocking([&] {
      plain.join();
      second.join();
    })
        .join()
        .value();
    std::set<std::string> all;
    for (const auto& part : got) all.insert(part.begin(), part.end());
    CHECK(got[0].size() + got[1].size() + got[2].size() + got[3].size() == kRecords);
    CHECK(all.size() == kRecords);
  });
}

TEST_CASE(
    "A fiber reads what the page cache holds with one call, and takes the slow path at the end") {
  const Folder folder;
  put(folder / "file", pattern(1000));
  if (!has_cached_reads(folder / "file"))
    RAMIE_SKIP("needs a file system that reads from its cache alone");
  in_runtime_on_pool(1, [&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::string room(1000, '\0');
    REQUIRE(file.read_exact_at(writable_bytes(room), 0).has_value());
    const Fault count = counting("preadv2");
    // On a busy machine a slice of time may end meanwhile; then try again.
    bool was_without_switch = false;
    unsigned rounds = 0;
    while (!was_without_switch && rounds < 20) {
      ++rounds;
      std::atomic<bool> has_other_run{false};
      auto other = ramie::spawn([&] { has_other_run = true; });
      for (int i = 0; i < 3; ++i) CHECK(*file.read_at(writable_bytes(room), 0) == 1000);
      was_without_switch = !has_other_run;
      REQUIRE(other.join().has_value());
    }
    CHECK(count.calls() == 3 * rounds);
    if (!chaos_seed()) CHECK(was_without_switch);
    CHECK(*file.read_at(writable_bytes(room), 1000) == 0);
    CHECK(count.calls() == 3 * rounds + 2);
  });
}

TEST_CASE("A File remembers that its file system has no reads without waiting") {
  const Folder folder;
  put(folder / "file", pattern(1000));
  in_runtime_on_pool(1, [&] {
    File file = ramie::or_throw(OpenOptions().read().write().open(folder / "file"));
    std::string room(10, '\0');
    const Fault refused({.calls = {"preadv2", "pwritev2"}, .error = EOPNOTSUPP, .times = 1});
    CHECK(*file.read_at(writable_bytes(room), 0) == 10);
    CHECK(refused.calls() == 2);
    for (int i = 0; i < 5; ++i) CHECK(*file.read_at(writable_bytes(room), 0) == 10);
    CHECK(refused.calls() == 7);
    File moved = std::move(file);
    CHECK(*moved.read_at(writable_bytes(room), 0) == 10);
    CHECK(refused.calls() == 8);
  });
}

TEST_CASE("A File remembers that its file system has no writes without waiting") {
  const Folder folder;
  in_runtime_on_pool(1, [&] {
    File file = ramie::or_throw(File::create(folder / "file"));
    const Fault refused({.calls = {"pwritev2"}, .error = EOPNOTSUPP, .times = 1});
    for (int i = 0; i < 5; ++i) CHECK(*file.write(bytes("0123456789")) == 10);
    CHECK(refused.calls() == 6);
    CHECK(content_of(folder / "file").size() == 50);
  });
}

TEST_CASE("Direct and synchronised transfers are not tried without waiting") {
  const Folder folder;
  put(folder / "file", pattern(1000));
  in_runtime_on_pool(1, [&] {
    auto file = ramie::or_throw(OpenOptions().write().dsync().open(folder / "file"));
    const Fault count = counting("pwritev2");
    CHECK(*file.write(bytes("x")) == 1);
    CHECK(count.calls() == 1);
    auto same = File::from_fd(file.into_fd());
    CHECK(*same.write(bytes("x")) == 1);
    CHECK(count.calls() == 2);
  });
}

TEST_CASE("Fairness: a fiber that reads from the page cache for ever lets others run") {
  const Folder folder;
  put(folder / "file", pattern(1000));
  in_runtime(1, [&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    std::atomic<bool> has_other_run{false};
    auto other = ramie::spawn([&] { has_other_run = true; });
    std::string room(100, '\0');
    int reads = 0;
    for (; !has_other_run && reads < 10'000; ++reads)
      REQUIRE(file.read_at(writable_bytes(room), 0).has_value());
    CHECK(has_other_run);
    CHECK(reads < 10'000);
    auto again = ramie::spawn([&] { has_other_run = false; });
    for (reads = 0; has_other_run && reads < 10'000; ++reads) {
      if (*file.read(writable_bytes(room)) == 0) (void)file.seek(0);
    }
    CHECK_FALSE(has_other_run);
    REQUIRE(other.join().has_value());
    REQUIRE(again.join().has_value());
  });
}

TEST_CASE("Files that share a description write one after the other, each byte once") {
  const Folder folder(kMemory);
  everywhere([&] {
    const int fd = ::open((folder / "file").c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    auto one = File::from_fd(fd);
    auto two = File::from_fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    constexpr std::size_t kSize = 100'000;
    constexpr int kTimes = 20;
    const auto write_all = [&](File& file, char text) {
      const std::string block(kSize, text);
      int wrong = 0;
      for (int i = 0; i < kTimes; ++i) wrong += file.write_all(bytes(block)).has_value() ? 0 : 1;
      return wrong;
    };
    if (ramie::current::is_fiber()) {
      auto other = ramie::spawn([&] { return write_all(two, '2'); });
      CHECK(write_all(one, '1') == 0);
      CHECK(other.join() == 0);
    } else {
      CHECK(write_all(one, '1') + write_all(two, '2') == 0);
    }
    CHECK(content_of(folder / "file").size() == 2 * kTimes * kSize);
  });
}
