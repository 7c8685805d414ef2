// Long operations are sequences of pieces. They let other fibers run, and a deadline or a cancel
// ends them between two pieces, although they never wait for a disk here.
#include "tests/fs/support.hpp"
#include "tests/support/fault_plan.hpp"

#include <ramie/cancel.hpp>
#include <ramie/time.hpp>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;

constexpr std::size_t kSize = std::size_t{64} << 20;

struct Long {
  const char* name;
  std::function<Result<void>()> run;
};

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return ramie::failure(result.error());
  return {};
}

// Each operation moves kSize bytes to or from the page cache.
class Longs {
 public:
  explicit Longs(const Folder& folder)
      : source_(folder / "source"), target_(folder / "target"), buffer_(kSize) {
    put(source_, pattern(kSize));
  }

  std::vector<Long> all() {
    return {
        {"fs::read", [&] { return only_error(fs::read(source_)); }},
        {"fs::read_to_string", [&] { return only_error(fs::read_to_string(source_)); }},
        {"fs::write", [&] { return fs::write(target_, buffer_); }},
        {"fs::append", [&] { return fs::append(target_, buffer_); }},
        {"File::read_to_end",
         [&] {
           std::vector<std::byte> content;
           return only_error(open_source().read_to_end(content));
         }},
        {"File::read_exact", [&] { return open_source().read_exact(buffer_); }},
        {"File::read_exact_at", [&] { return open_source().read_exact_at(buffer_, 0); }},
        {"File::write_all", [&] { return open_target().write_all(buffer_); }},
        {"File::write_all_at", [&] { return open_target().write_all_at(buffer_, 0); }},
        {"File::read", [&] { return whole(open_source().read(buffer_)); }},
        {"File::read_at", [&] { return whole(open_source().read_at(buffer_, 0)); }},
        {"File::write", [&] { return whole(open_target().write(buffer_)); }},
        {"File::write_at", [&] { return whole(open_target().write_at(buffer_, 0)); }},
        {"File::read_vectored",
         [&] {
           const std::array parts{std::span(buffer_).first(kSize / 3),
                                  std::span(buffer_).subspan(kSize / 3)};
           return whole(open_source().read_vectored(parts));
         }},
    };
  }

 private:
  File open_source() { return ramie::or_throw(File::open(source_)); }
  File open_target() { return ramie::or_throw(File::create(target_)); }
  // These return how much they moved.
  static Result<void> whole(const Result<std::size_t>& moved) {
    if (moved && *moved < kSize) return ramie::failure(errc::timed_out);
    return only_error(moved);
  }

  std::string source_;
  std::string target_;
  std::vector<std::byte> buffer_;
};

}  // namespace

TEST_CASE("Long: other fibers of the worker run between the pieces of every long operation") {
  const Folder folder;
  Longs longs(folder);
  for (const Long& one : longs.all()) {
    in_runtime(1, [&] {
      std::atomic<bool> is_over{false};
      std::atomic<int> turns{0};
      auto other = ramie::spawn([&] {
        while (!is_over.load()) {
          ++turns;
          ramie::yield_now();
        }
      });
      ramie::yield_now();
      const int before = turns.load();
      const auto done = one.run();
      const int during = turns.load() - before;
      is_over.store(true);
      CAPTURE(one.name);
      CHECK(other.join().has_value());
      CHECK(done.has_value());
      CHECK(during >= 4);
    });
  }
}

TEST_CASE("Long: a deadline ends every long operation early") {
  const Folder folder;
  Longs longs(folder);
  for (const Long& one : longs.all()) {
    in_runtime(1, [&] {
      const auto done = ramie::timeout(500us, [&]() -> Result<void> {
        try {
          return one.run();
        } catch (const std::system_error& error) {  // from the open
          return ramie::failure(error.code());
        }
      });
      CAPTURE(one.name);
      CHECK(error_of(done) == errc::timed_out);
    });
  }
}

// A file system may clone a whole file in one call, so a fault plan makes the calls slow.
TEST_CASE("Long: a deadline ends a copy between two pieces") {
  const Folder folder;
  put(folder / "source", pattern(40U << 20));
  put(folder / "target", "");  // the deadline may pass before the copy begins
  in_runtime(1, [&] {
    for (const char* plan :
         {"copy_file_range 1.. delay=20ms", "copy_file_range 1.. EXDEV; preadv2 1.. delay=20ms"}) {
      const PlannedFaults slow(plan);
      CHECK(error_of(ramie::timeout(50ms, [&] {
              return fs::copy(folder / "source", folder / "target");
            })) == errc::timed_out);
      CHECK(std::filesystem::file_size(folder / "target") < 40U << 20);
    }
  });
}

TEST_CASE("Long: a transfer in pieces moves every byte to its place") {
  const Folder folder;
  const std::string text = pattern((5U << 20) + 4321);
  everywhere([&] {
    auto file =
        ramie::or_throw(OpenOptions().read().write().create().truncate().open(folder / "file"));
    const auto all = bytes(text);
    const std::array parts{all.first(1), all.subspan(1, 0), all.subspan(1, (2U << 20) + 5),
                           all.subspan((2U << 20) + 6)};
    CHECK(file.write_vectored(parts) == text.size());
    CHECK(file.position() == text.size());
    CHECK(same(content_of(folder / "file"), text));
    std::string got(text.size() + 10, '\0');
    const auto room = writable_bytes(got);
    const std::array into{room.first(3U << 20), room.subspan(3U << 20)};
    CHECK(file.read_vectored_at(into, 0) == text.size());
    CHECK(same(std::string_view(got).substr(0, text.size()), text));
    got.assign(got.size(), '\0');
    CHECK(file.seek(1) == 1U);
    CHECK(file.read(writable_bytes(got)) == text.size() - 1);
    CHECK(same(std::string_view(got).substr(0, text.size() - 1), std::string_view(text).substr(1)));
    CHECK(file.position() == text.size());
    std::string rest = "before";
    CHECK(file.seek(0) == 0U);
    CHECK(file.read_to_string(rest) == text.size());
    CHECK(same(rest, "before" + text));
    CHECK(same(ramie::or_throw(fs::read_to_string(folder / "file")), text));
  });
}
