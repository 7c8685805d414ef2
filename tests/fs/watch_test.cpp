// Tests Watcher: every change, in order; no cancel loses one; lost changes are reported.
#include "tests/fs/scratch.hpp"

#include <ramie/cancel.hpp>
#include <ramie/fs/watch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
namespace fs = ramie::fs;
using fs::Change;
using ramie::errc;

fs::WatchEvent next(fs::Watcher& watcher) {
  return ramie::or_throw(ramie::timeout(5s, [&] { return watcher.next(); }));
}

// Checks that the next event is this one.
void expect(fs::Watcher& watcher, fs::WatchId watch, Change change, const std::string& name) {
  const fs::WatchEvent event = next(watcher);
  INFO("want " << static_cast<int>(change) << " of '" << name << "'");
  CHECK(static_cast<int>(event.change) == static_cast<int>(change));
  CHECK(event.watch == watch);
  CHECK(event.name == name);
}

void expect_none(fs::Watcher& watcher) {
  CHECK(error_of(ramie::timeout(2ms, [&] { return watcher.next(); })) == errc::timed_out);
}

// Fibers and threads use it too, so it must not assert.
void make_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) std::abort();
  ::close(fd);
}

}  // namespace

TEST_CASE("Watcher: reports changes in a directory in their order") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      const Scratch scratch;
      auto watcher = ramie::or_throw(fs::Watcher::create());
      const auto watch = ramie::or_throw(watcher.add(scratch.path()));
      scratch.write("a");
      expect(watcher, watch, Change::created, "a");
      expect(watcher, watch, Change::modified, "a");
      expect(watcher, watch, Change::written, "a");
      stdfs::rename(scratch.path("a"), scratch.path("b"));
      const auto from = next(watcher);
      const auto to = next(watcher);
      CHECK((from.change == Change::moved_from && from.name == "a"));
      CHECK((to.change == Change::moved_to && to.name == "b"));
      CHECK(from.cookie == to.cookie);
      CHECK(from.cookie != 0);
      stdfs::permissions(scratch.path("b"), stdfs::perms(0600));
      expect(watcher, watch, Change::attributes, "b");
      stdfs::remove(scratch.path("b"));
      expect(watcher, watch, Change::removed, "b");
      scratch.make_dir("dir");
      const auto made = next(watcher);
      CHECK((made.change == Change::created && made.name == "dir" && made.is_directory));
      scratch.write("dir/too deep");
      expect_none(watcher);
    });
  }
}

TEST_CASE("Watcher: reports only the requested kinds of change") {
  in_runtime(1, [] {
    const Scratch scratch;
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto watch =
        ramie::or_throw(watcher.add(scratch.path(), Change::removed | Change::written));
    scratch.write("a");
    expect(watcher, watch, Change::written, "a");
    stdfs::remove(scratch.path("a"));
    expect(watcher, watch, Change::removed, "a");
    CHECK(ramie::or_throw(watcher.add(scratch.path("."), Change::created)) == watch);
    scratch.write("a");
    stdfs::remove(scratch.path("a"));
    expect(watcher, watch, Change::created, "a");
    expect_none(watcher);
  });
}

TEST_CASE("Watcher: watches a file itself until it is removed") {
  in_runtime(1, [] {
    const Scratch scratch;
    scratch.write("a");
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto watch = ramie::or_throw(watcher.add(scratch.path("a"), Change::all));
    std::ofstream(scratch.path("a"), std::ios::app) << "more";
    expect(watcher, watch, Change::modified, "");
    expect(watcher, watch, Change::written, "");
    stdfs::rename(scratch.path("a"), scratch.path("b"));
    expect(watcher, watch, Change::moved, "");
    stdfs::remove(scratch.path("b"));
    expect(watcher, watch, Change::attributes, "");
    expect(watcher, watch, Change::gone, "");
    expect_none(watcher);
    CHECK(error_of(watcher.remove(watch)) == std::errc::invalid_argument);
  });
}

TEST_CASE("Watcher: a removed directory reports what was removed before it, then gone") {
  in_runtime(1, [] {
    const Scratch scratch;
    scratch.make_dir("dir");
    scratch.write("dir/a");
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto above = ramie::or_throw(watcher.add(scratch.path()));
    const auto watch = ramie::or_throw(watcher.add(scratch.path("dir")));
    CHECK_FALSE(above == watch);
    stdfs::remove_all(scratch.path("dir"));
    expect(watcher, watch, Change::removed, "a");
    expect(watcher, watch, Change::gone, "");
    expect(watcher, above, Change::removed, "dir");
    expect_none(watcher);
  });
}

TEST_CASE("Watcher: remove ends a watch after its last events; its id is not reused") {
  in_runtime(1, [] {
    const Scratch scratch;
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto watch = ramie::or_throw(watcher.add(scratch.path()));
    make_file(scratch.path("a"));
    REQUIRE(watcher.remove(watch).has_value());
    make_file(scratch.path("b"));
    expect(watcher, watch, Change::created, "a");
    expect(watcher, watch, Change::written, "a");
    expect(watcher, watch, Change::gone, "");
    expect_none(watcher);
    CHECK_FALSE(ramie::or_throw(watcher.add(scratch.path())) == watch);
  });
}

TEST_CASE("Watcher: a change by any thread wakes the waiter") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      const Scratch scratch;
      auto watcher = ramie::or_throw(fs::Watcher::create());
      (void)ramie::or_throw(watcher.add(scratch.path(), Change::created));
      for (int i = 0; i < 50; ++i) {
        auto waiter = ramie::spawn([&] { return watcher.next(); });
        if (i % 2 == 0) REQUIRE(until_parked(ramie::sched::WaitKind::readable, 1));
        std::thread([&] { make_file(scratch.path(std::to_string(i))); }).join();
        const auto event = waiter.join();
        REQUIRE(event.has_value());
        CHECK(event->name == std::to_string(i));
      }
    });
  }
}

TEST_CASE("Watcher: more changes than one read takes are all reported in order") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto watch = ramie::or_throw(watcher.add(scratch.path(), Change::created));
    auto maker = ramie::spawn([&] {
      for (int i = 0; i < 5000; ++i) {
        if (::mknod(scratch.path(std::to_string(i)).c_str(), S_IFREG | 0600, 0) != 0) return false;
        if (i % 500 == 0) (void)ramie::sleep_for(1ms);
      }
      return true;
    });
    for (int i = 0; i < 5000; ++i) {
      const auto event = next(watcher);
      REQUIRE((event.watch == watch && event.name == std::to_string(i)));
    }
    CHECK(*maker.join());
    expect_none(watcher);
  });
}

TEST_CASE("Watcher: a cancel loses no change") {
  in_runtime(2, [] {
    const Scratch scratch(kMemory);
    auto watcher = ramie::or_throw(fs::Watcher::create());
    (void)ramie::or_throw(watcher.add(scratch.path(), Change::created));
    auto maker = ramie::spawn([&] {
      for (int i = 0; i < 300; ++i) {
        make_file(scratch.path(std::to_string(i)));
        (void)ramie::sleep_for(100us);
      }
    });
    int ended = 0;
    for (int i = 0; i < 300;) {
      const auto event = ramie::timeout(i % 3 == 0 ? 20us : 1ms, [&] { return watcher.next(); });
      if (!event) {
        REQUIRE(event.error() == errc::timed_out);
        REQUIRE(++ended < 100'000);
      } else {
        REQUIRE(event->name == std::to_string(i++));
      }
    }
    CHECK(maker.join().has_value());
    make_file(scratch.path("last"));
    const ramie::CancellationToken stop;
    stop.cancel();
    CHECK(error_of(ramie::until(stop, [&] { return watcher.next(); })) == errc::canceled);
    CHECK(error_of(ramie::until(stop, [&] { return watcher.add(scratch.path()); })) ==
          errc::canceled);
    CHECK(next(watcher).name == "last");
  });
}

TEST_CASE("Watcher: the kernel's overflow is reported, and the watch goes on") {
  long most = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
  if (most == 0 || most > 100'000)
    RAMIE_SKIP("needs fs.inotify.max_queued_events of 100,000 at most");
  in_runtime(1, [&] {
    const Scratch scratch(kMemory);
    auto watcher = ramie::or_throw(fs::Watcher::create());
    const auto watch =
        ramie::or_throw(watcher.add(scratch.path(), Change::created | Change::removed));
    for (long i = 0; i < most / 2 + 100; ++i) {
      REQUIRE(::mknod(scratch.path("a").c_str(), S_IFREG | 0600, 0) == 0);
      REQUIRE(::unlink(scratch.path("a").c_str()) == 0);
    }
    long seen = 0;
    for (;; ++seen) {
      const auto event = next(watcher);
      if (event.change == Change::overflow) {
        CHECK(event.watch == fs::WatchId());
        break;
      }
      REQUIRE(event.change == (seen % 2 == 0 ? Change::created : Change::removed));
    }
    CHECK(seen == most);
    make_file(scratch.path("b"));
    expect(watcher, watch, Change::created, "b");
  });
}

TEST_CASE("Watcher: only one fiber may wait at a time") {
  in_runtime(2, [] {
    const Scratch scratch;
    auto watcher = ramie::or_throw(fs::Watcher::create());
    (void)ramie::or_throw(watcher.add(scratch.path()));
    auto waiter = ramie::spawn([&] { return error_of(watcher.next()); });
    REQUIRE(until_parked(ramie::sched::WaitKind::readable, 1));
    CHECK(error_of(watcher.next()) == errc::already_waiting);
    waiter.cancel();
    CHECK(*waiter.join() == errc::canceled);
  });
}

TEST_CASE("Watcher: returns an error for what it cannot watch") {
  in_runtime(1, [] {
    const Scratch scratch;
    auto watcher = ramie::or_throw(fs::Watcher::create());
    CHECK(error_of(watcher.add(scratch.path("none"))) == std::errc::no_such_file_or_directory);
    CHECK(error_of(watcher.add(scratch.path(), Change{})) == std::errc::invalid_argument);
    CHECK(error_of(watcher.add(scratch.path(), Change::gone | Change::overflow)) ==
          std::errc::invalid_argument);
    CHECK(error_of(watcher.add(std::string_view("a\0b", 3))) == std::errc::invalid_argument);
    CHECK(error_of(watcher.remove(fs::WatchId{77})) == std::errc::invalid_argument);
    fs::Watcher other = std::move(watcher);
    CHECK_FALSE(watcher.is_open());
    CHECK(other.is_open());
    CHECK(error_of(watcher.next()) == std::errc::bad_file_descriptor);
    CHECK(error_of(watcher.add(scratch.path())) == std::errc::bad_file_descriptor);
    CHECK(error_of(watcher.remove({})) == std::errc::bad_file_descriptor);
    const AtCall full("inotify_init1", 1, [] { return -EMFILE; });
    CHECK(error_of(fs::Watcher::create()) == std::errc::too_many_files_open);
  });
}

TEST_CASE("Watcher: needs a runtime") {
  const std::size_t before = open_descriptors();
  CHECK(error_of(fs::Watcher::create()) == errc::no_runtime);
  CHECK(open_descriptors() == before);
}
