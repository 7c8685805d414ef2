// Tests cancels: a call is refused before anything moves, a wait ends, and moved data wins. Also
// tests locks, whose wait may be long.
#include "tests/fs/support.hpp"
#include "tests/support/fault_plan.hpp"

#include <ramie/cancel.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <thread>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;
using Clock = std::chrono::steady_clock;

File open_new(const std::string& path) {
  return ramie::or_throw(OpenOptions().read().write().create().truncate().open(path));
}

// A File whose reads wait until the other end is written.
struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    reader = File::from_fd(ends[0]);
    writer = ends[1];
  }
  ~Pipe() { ::close(writer); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void send(char c) { (void)!::write(writer, &c, 1); }

  File reader;
  int writer = -1;
};

// Another process that holds a lock until it is told to release it.
class Holder {
 public:
  explicit Holder(const std::string& path) {
    std::array<int, 2> ready{};
    std::array<int, 2> go{};
    if (::pipe(ready.data()) != 0 || ::pipe(go.data()) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(go[1]);
      const int fd = ::open(path.c_str(), O_RDWR);
      char c = ::flock(fd, LOCK_EX) == 0 ? 'y' : 'n';
      (void)!::write(ready[1], &c, 1);
      (void)!::read(go[0], &c, 1);
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(go[0]);
    char c = 'n';
    (void)!::read(ready[0], &c, 1);
    ::close(ready[0]);
    go_ = go[1];
    if (c != 'y') std::abort();
  }
  ~Holder() {
    end();
    ::close(go_);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  void end() {
    if (pid_ < 0) return;
    (void)!::write(go_, "g", 1);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
  int go_ = -1;
};

}  // namespace

TEST_CASE("Cancelled before: every call is refused, and nothing moves") {
  const Folder folder;
  for (const std::size_t workers : kWorkerCounts) {
    put(folder / "file", "content");
    in_runtime(workers, [&] {
      auto file = ramie::or_throw(OpenOptions().read().write().open(folder / "file"));
      const ramie::CancellationToken token;
      token.cancel();
      int refused = 0;
      (void)ramie::until(token, [&] {
        std::string room(3, '\0');
        std::string text;
        const auto count = [&](const auto& result) {
          refused += error_of(result) == errc::canceled ? 1 : 0;
        };
        count(file.read(writable_bytes(room)));
        count(file.read_exact(writable_bytes(room)));
        count(file.read_at(writable_bytes(room), 0));
        count(file.read_exact_at(writable_bytes(room), 0));
        count(file.read_to_string(text));
        count(file.write(bytes("xyz")));
        count(file.write_all(bytes("xyz")));
        count(file.write_at(bytes("xyz"), 0));
        count(file.write_all_at(bytes("xyz"), 0));
        count(file.seek(1));
        count(file.position());
        count(file.sync_all());
        count(file.sync_data());
        count(file.set_len(1));
        count(file.allocate(0, 1000));
        count(file.metadata());
        count(file.set_permissions(0));
        count(file.set_times({}));
        count(file.lock());
        count(file.try_lock());
        count(fs::metadata(folder / "file"));
        count(fs::exists(folder / "file"));
        count(fs::read(folder / "file"));
        count(fs::write(folder / "file", "x"));
        count(fs::write(folder / "new", "x"));
        count(fs::append(folder / "file", "x"));
        count(File::open(folder / "file"));
        count(File::create(folder / "new"));
        return ramie::Result<void>();
      });
      CHECK(refused == 28);
      CHECK(file.position() == 0U);
      CHECK_FALSE(is_there(folder / "new"));
      CHECK(content_of(folder / "file") == "content");
      CHECK(ramie::or_throw(File::open(folder / "file")).try_lock() == true);
    });
  }
}

TEST_CASE("Cancelled before: close and unlock still work") {
  const Folder folder;
  in_runtime(1, [&] {
    File file = open_new(folder / "file");
    File other = ramie::or_throw(File::open(folder / "file"));
    REQUIRE(file.lock().has_value());
    CHECK(other.try_lock() == false);
    const ramie::CancellationToken token;
    token.cancel();
    (void)ramie::until(token, [&] { CHECK(file.unlock().has_value()); });
    CHECK(other.try_lock() == true);
    const int fd = file.fd();
    (void)ramie::until(token, [&] { CHECK(file.close().has_value()); });
    CHECK(::fcntl(fd, F_GETFD) == -1);
  });
}

TEST_CASE("A cancel ends the wait for the position, but not a job that has it; data wins") {
  const Folder folder;
  constexpr std::size_t kSize = 100'000;  // more than a fiber tries at once
  put(folder / "file", pattern(3 * kSize));
  in_runtime_on_pool(2, [&] {
    File file = ramie::or_throw(File::open(folder / "file"));
    const ramie::CancellationToken token;
    const PlannedFaults slow("preadv2 1 delay=600ms");
    auto first = ramie::spawn([&] {
      return ramie::until(token, [&]() -> ramie::Result<std::string> {
        std::string room(kSize, '\0');
        const auto n = file.read(writable_bytes(room));
        if (!n) return ramie::failure(n.error());
        const auto next = file.read(writable_bytes(room));
        return std::to_string(*n) +
               (error_of(next) == errc::canceled ? " then canceled" : " then not");
      });
    });
    REQUIRE(until_parked(WaitKind::join, 1));               // for its job
    REQUIRE(eventually([&] { return slow.calls() > 0; }));  // which has begun
    std::string room(1, '\0');
    CHECK(error_of(ramie::timeout(5ms, [&] { return file.read(writable_bytes(room)); })) ==
          errc::timed_out);
    token.cancel();
    CHECK(*first.join() == "100000 then canceled");
    CHECK(*file.position() == kSize);
  });
}

TEST_CASE("A cancel ends a read of a pipe, and the wait for its turn; no byte is lost") {
  for (const auto backend :
       {ramie::runtime::FileBackend::pool, ramie::runtime::FileBackend::automatic}) {
    auto builder = quiet_builder(2);
    builder.files(backend);
    in_runtime_of(std::move(builder), [] {
      Pipe pipe;
      std::string room(1, '\0');
      auto first = ramie::spawn([&] {
        std::string own(1, '\0');
        return error_of(pipe.reader.read(writable_bytes(own)));
      });
      REQUIRE(until_parked(WaitKind::readable, 1));
      CHECK(error_of(ramie::timeout(5ms, [&] { return pipe.reader.read(writable_bytes(room)); })) ==
            errc::timed_out);
      first.cancel();
      CHECK(first.join() == ramie::Result<std::error_code>(errc::canceled));
      pipe.send('y');
      CHECK(*pipe.reader.read(writable_bytes(room)) == 1);
      CHECK(room == "y");
    });
  }
}

TEST_CASE("A cancel ends a long sequence between two of its calls") {
  const Folder folder;
  put(folder / "file", pattern(20U << 20));
  in_runtime_on_pool(1, [&] {
    const PlannedFaults slow("preadv2 1.. delay=30ms; pwritev2 1.. delay=30ms");
    CHECK(error_of(ramie::timeout(50ms, [&] { return fs::read(folder / "file"); })) ==
          errc::timed_out);
    CHECK(slow.calls(0) < 20);
    const std::string text = pattern(20U << 20);
    CHECK(error_of(ramie::timeout(50ms, [&] { return fs::write(folder / "new", text); })) ==
          errc::timed_out);
    CHECK(slow.calls(1) < 20);
    auto file = ramie::or_throw(File::open(folder / "file"));
    std::vector<std::byte> content;
    CHECK(error_of(ramie::timeout(500ms, [&] { return file.read_to_end(content); })) ==
          errc::timed_out);
    CHECK(content.size() == *file.position());
    CHECK_FALSE(content.empty());
  });
}

TEST_CASE("A cancel during an open loses no descriptor: the file wins") {
  const Folder folder;
  put(folder / "file", "content");
  in_runtime_on_pool(1, [&] {
    const PlannedFaults slow("openat 1.. delay=50ms; openat2 1.. EAGAIN");  // no name cache
    const ramie::CancellationToken token;
    auto opening = ramie::spawn(
        [&] { return ramie::until(token, [&] { return File::open(folder / "file"); }); });
    REQUIRE(eventually([&] { return slow.calls() > 0; }));  // otherwise it would not begin
    token.cancel();
    CHECK(opening.join().has_value());
  });
}

// Method: the call fails after the deadline, and then a stat checks what is in its way.
TEST_CASE("A cancel between two calls of one operation is returned, not the error of the first") {
  const Folder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  REQUIRE(::mkdir((folder / "dir").c_str(), 0700) == 0);
  in_runtime_on_pool(1, [&] {
    const PlannedFaults slow("openat 1.. delay=200ms; mkdirat 1.. delay=200ms");
    const auto within = [](auto&& call) { return error_of(ramie::timeout(30ms, call)); };
    CHECK(within([&] { return OpenOptions().write().open(folder / "fifo"); }) == errc::timed_out);
    CHECK(within([&] { return fs::write(folder / "fifo", "x"); }) == errc::timed_out);
    CHECK(within([&] { return fs::create_dir_all(folder / "dir"); }) == errc::timed_out);
  });
}

TEST_CASE(
    "lock: one File holds it exclusively, several share it, and a waiter gets it on release") {
  const Folder folder;
  put(folder / "file", "");
  everywhere([&] {
    File one = ramie::or_throw(File::open(folder / "file"));
    File two = ramie::or_throw(File::open(folder / "file"));
    CHECK(one.lock().has_value());
    CHECK(two.try_lock() == false);
    CHECK(two.try_lock_shared() == false);
    CHECK(one.unlock().has_value());
    CHECK(two.try_lock_shared() == true);
    CHECK(one.lock_shared().has_value());
    CHECK(one.unlock().has_value());
    CHECK(one.unlock().has_value());
    CHECK(two.close().has_value());
    CHECK(one.try_lock() == true);
  });
  in_runtime(2, [&] {
    File one = ramie::or_throw(File::open(folder / "file"));
    REQUIRE(one.lock().has_value());
    auto waiter = ramie::spawn([&] {
      File two = ramie::or_throw(File::open(folder / "file"));
      return two.lock().has_value();
    });
    REQUIRE(eventually([] { return parked(WaitKind::sleep) >= 1; }));
    CHECK_FALSE(waiter.is_finished());
    CHECK(one.close().has_value());
    CHECK(*waiter.join());
  });
}

TEST_CASE("lock: a deadline ends the wait for a lock that another File holds") {
  const Folder folder;
  put(folder / "file", "");
  in_runtime(1, [&] {
    File one = ramie::or_throw(File::open(folder / "file"));
    File two = ramie::or_throw(File::open(folder / "file"));
    REQUIRE(one.lock().has_value());
    const auto begin = Clock::now();
    CHECK(error_of(ramie::timeout(30ms, [&] { return two.lock(); })) == errc::timed_out);
    CHECK(error_of(ramie::timeout(30ms, [&] { return two.lock_shared(); })) == errc::timed_out);
    CHECK(Clock::now() - begin < 5s);
    CHECK(one.unlock().has_value());
    CHECK(two.lock().has_value());
    CHECK(one.try_lock() == false);
  });
}

TEST_CASE("lock: the wait for another process ends by a deadline or by the process's end") {
  const Folder folder;
  const std::string path = folder / "file";
  put(path, "");
  Holder holder(path);
  in_runtime(1, [&] {
    File file = ramie::or_throw(File::open(path));
    CHECK(file.try_lock() == false);
    CHECK(error_of(ramie::timeout(20ms, [&] { return file.lock(); })) == errc::timed_out);
    auto waiter = ramie::spawn([&] { return file.lock().has_value(); });
    (void)ramie::sleep_for(5ms);
    ramie::spawn_blocking([&] { holder.end(); }).join().value();
    CHECK(*waiter.join());
  });
}

TEST_CASE("lock: a plain thread waits for it, and a fiber releases it") {
  const Folder folder;
  put(folder / "file", "");
  in_runtime(1, [&] {
    File one = ramie::or_throw(File::open(folder / "file"));
    REQUIRE(one.lock().has_value());
    auto waiter = ramie::spawn_blocking([&] {
      File two = ramie::or_throw(File::open(folder / "file"));
      return two.lock().has_value();
    });
    (void)ramie::sleep_for(5ms);
    CHECK_FALSE(waiter.is_finished());
    CHECK(one.unlock().has_value());
    CHECK(*waiter.join());
  });
}
