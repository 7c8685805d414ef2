// Tests files with another end: pipes with and without a name, terminals, sockets. They wait for
// readiness with every backend: a deadline works, the pool stays free, and no signal arrives.
#include "tests/faults/confine.hpp"
#include "tests/fs/support.hpp"
#include "tests/support/child.hpp"
#include "tests/support/skip.hpp"

#include <ramie/cancel.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <termios.h>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
namespace fs = ramie::fs;
using fs::File;
using fs::OpenOptions;

// One end as a File, the other as a descriptor; both directions where the kind supports it.
struct Ends {
  File file;
  int other = -1;

  Ends(File ours, int theirs) : file(std::move(ours)), other(theirs) {}
  Ends(Ends&& from) noexcept : file(std::move(from.file)), other(std::exchange(from.other, -1)) {}
  Ends& operator=(Ends&&) = delete;
  ~Ends() { close_other(); }
  void close_other() {
    if (other >= 0) ::close(std::exchange(other, -1));
  }
  void send(std::string_view text) const {
    if (::write(other, text.data(), text.size()) < 0) std::abort();
  }
};

Ends pipe_to_read() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
  return {File::from_fd(ends[0]), ends[1]};
}

Ends pipe_to_write() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
  return {File::from_fd(ends[1]), ends[0]};
}

Ends sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  return {File::from_fd(ends[0]), ends[1]};
}

// Opened without our path, so its description may have other owners and is blocking.
Ends foreign_fifo(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  return {File::from_fd(fd), ::open(path.c_str(), O_RDWR | O_CLOEXEC)};
}

Ends own_fifo(const std::string& path) {
  return {ramie::or_throw(OpenOptions().read().write().open(path)),
          ::open(path.c_str(), O_RDWR | O_CLOEXEC)};
}

// A program types at the other end.
Ends terminal(bool is_own) {
  const int typist = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (typist < 0 || ::grantpt(typist) != 0 || ::unlockpt(typist) != 0) std::abort();
  const std::string path = ::ptsname(typist);
  termios settings{};
  const int fd = ::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (::tcgetattr(fd, &settings) != 0) std::abort();
  ::cfmakeraw(&settings);
  if (::tcsetattr(fd, TCSANOW, &settings) != 0) std::abort();
  if (!is_own) return {File::from_fd(fd), typist};
  Ends ends(ramie::or_throw(OpenOptions().read().write().custom_flags(O_NOCTTY).open(path)),
            typist);
  ::close(fd);
  return ends;
}

// Prints a line that the tally counts if there are none.
bool has_terminals() {
  const int fd = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0) ::close(fd);
  else (void)std::fprintf(stderr, "skipped: streams: terminals | needs /dev/ptmx\n");
  return fd >= 0;
}

struct Kind {
  const char* name;
  std::function<Ends()> make;
};

std::vector<Kind> readable_kinds(const Folder& folder) {
  const std::string fifo = folder / "fifo";
  if (!is_there(fifo)) REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  std::vector<Kind> kinds{{"a pipe", pipe_to_read},
                          {"a socket", sockets},
                          {"a foreign FIFO", [fifo] { return foreign_fifo(fifo); }},
                          {"a FIFO", [fifo] { return own_fifo(fifo); }}};
  if (has_terminals()) {
    kinds.push_back({"a foreign terminal", [] { return terminal(false); }});
    kinds.push_back({"a terminal", [] { return terminal(true); }});
  }
  return kinds;
}

// Runs in fibers, with a ring and without.
template <class F>
void in_fibers(F&& function) {
  in_runtime(2, function);
  in_runtime_on_pool(1, function);
}

std::size_t descriptors_of(const std::string& path) {
  std::size_t count = 0;
  std::error_code ignored;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd"))
    count += std::filesystem::read_symlink(one.path(), ignored) == path ? 1U : 0U;
  return count;
}

std::atomic<int> sigpipes{0};

}  // namespace

TEST_CASE("Stream: a deadline ends a read of a silent file, and later data is not lost") {
  const Folder folder;
  for (const Kind& kind : readable_kinds(folder)) {
    in_fibers([&] {
      CAPTURE(kind.name);
      Ends ends = kind.make();
      std::string room(5, '\0');
      std::vector<std::byte> rest;
      for (int i = 0; i < 3; ++i) {
        CHECK(error_of(ramie::timeout(5ms, [&] { return ends.file.read(writable_bytes(room)); })) ==
              errc::timed_out);
        CHECK(error_of(ramie::timeout(5ms, [&] {
                return ends.file.read_exact(writable_bytes(room));
              })) == errc::timed_out);
        CHECK(error_of(ramie::timeout(5ms, [&] { return ends.file.read_to_end(rest); })) ==
              errc::timed_out);
      }
      auto reader = ramie::spawn([&] { return ends.file.read_exact(writable_bytes(room)); });
      REQUIRE(until_parked(WaitKind::readable, 1));
      ends.send("he");
      ends.send("llo");
      CHECK(reader.join().has_value());
      CHECK(room == "hello");
    });
  }
}

TEST_CASE("Stream: a silent file occupies no thread of the pool") {
  const Folder folder;
  const auto kinds = readable_kinds(folder);
  auto builder = quiet_builder(1);
  builder.files(ramie::runtime::FileBackend::pool).blocking_threads(2);
  in_runtime_of(std::move(builder), [&] {
    std::vector<Ends> silent;
    std::vector<ramie::JoinHandle<bool>> readers;
    for (int i = 0; i < 5; ++i)
      for (const Kind& kind : kinds) silent.push_back(kind.make());
    for (Ends& one : silent)
      readers.push_back(ramie::spawn([&one] {
        std::string room(1, '\0');
        return error_of(one.file.read(writable_bytes(room))) == errc::canceled;
      }));
    REQUIRE(until_parked(WaitKind::readable, silent.size()));
    for (int i = 0; i < 5; ++i) CHECK(fs::canonicalize(folder.path()).has_value());
    for (auto& reader : readers) reader.cancel();
    for (auto& reader : readers) CHECK(reader.join() == true);
  });
}

TEST_CASE("Stream: opening a FIFO waits for its other end until a deadline, and loses nothing") {
  const Folder folder;
  const std::string path = folder / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  in_fibers([&] {
    for (int i = 0; i < 3; ++i) {
      CHECK(error_of(ramie::timeout(10ms, [&] { return File::open(path); })) == errc::timed_out);
      CHECK(error_of(ramie::timeout(10ms, [&] { return OpenOptions().write().open(path); })) ==
            errc::timed_out);
      CHECK(error_of(ramie::timeout(10ms, [&] { return fs::read(path); })) == errc::timed_out);
      CHECK(error_of(ramie::timeout(10ms, [&] { return fs::write(path, "x"); })) ==
            errc::timed_out);
    }
    CHECK(descriptors_of(path) == 0);
    {  // the other end is opened and stays silent
      auto opening = ramie::spawn([&] { return File::open(path); });
      REQUIRE(until_parked(WaitKind::sleep, 1));
      const int writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      auto file = opening.join();
      REQUIRE(file.has_value());
      CHECK(::write(writer, "hi", 2) == 2);
      ::close(writer);
      std::string text;
      CHECK(file->read_to_string(text) == 2U);
      CHECK(text == "hi");
    }
    {
      auto opening = ramie::spawn([&] { return OpenOptions().write().open(path); });
      REQUIRE(until_parked(WaitKind::sleep, 1));
      const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
      auto file = opening.join();
      REQUIRE(file.has_value());
      CHECK(file->write_all(bytes("hi")).has_value());
      std::array<char, 3> got{};
      CHECK(::read(reader, got.data(), got.size()) == 2);
      ::close(reader);
    }
    {  // it is opened and closed at once
      auto opening = ramie::spawn([&] { return fs::read_to_string(path); });
      REQUIRE(until_parked(WaitKind::sleep, 1));
      ::close(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      CHECK(opening.join() == std::string());
    }
    {
      auto writing = ramie::spawn([&] { return fs::write(path, "whole"); });
      CHECK(fs::read_to_string(path) == "whole");
      CHECK(writing.join().has_value());
    }
    // A caller that asks not to wait does not wait.
    CHECK(OpenOptions().read().custom_flags(O_NONBLOCK).open(path).has_value());
    CHECK(error_of(OpenOptions().write().custom_flags(O_NONBLOCK).open(path)) ==
          std::errc::no_such_device_or_address);
  });
}

TEST_CASE("Stream: a write without a reader is broken_pipe, without a signal") {
  const Folder folder;
  const std::string path = folder / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto before = std::signal(SIGPIPE, [](int) { sigpipes.fetch_add(1); });
  everywhere([&] {
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    File own = ramie::or_throw(OpenOptions().write().open(path));
    Ends pipe = pipe_to_write();
    Ends socket = sockets();
    ::close(reader);
    pipe.close_other();
    socket.close_other();
    const std::string large = pattern(1U << 20);
    for (File* file : {&own, &pipe.file, &socket.file}) {
      CHECK(error_of(file->write(bytes("gone?"))) == std::errc::broken_pipe);
      CHECK(error_of(file->write_all(bytes(large))) == std::errc::broken_pipe);
      const std::array parts{bytes("a"), bytes("b")};
      CHECK(error_of(file->write_vectored(parts)) == std::errc::broken_pipe);
    }
  });
  CHECK(sigpipes == 0);
  (void)std::signal(SIGPIPE, before);
}

// For kernels without RWF_NOSIGNAL (before 6.18) and sandboxes without pwritev2.
TEST_CASE("Stream: the same without the kernel's help; a SIGPIPE that was pending stays pending") {
  if (!ramie_test::has_seccomp()) RAMIE_SKIP(RAMIE_NO_SECCOMP);
  const auto end = run_in_child([] {
    faults::deny("pwritev2=ENOSYS");
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    const auto is_pending = [] {
      sigset_t pending;
      return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1;
    };
    const auto write_to_nobody = [] {
      Ends ends = pipe_to_write();
      ends.close_other();
      if (error_of(ends.file.write(bytes("x"))) != std::errc::broken_pipe) ::_exit(1);
    };
    write_to_nobody();  // SIGPIPE would end the program by default
    in_runtime(1, write_to_nobody);
    in_runtime_on_pool(1, write_to_nobody);
    (void)::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    write_to_nobody();
    if (is_pending()) ::_exit(2);
    (void)::raise(SIGPIPE);
    write_to_nobody();
    if (!is_pending()) ::_exit(3);
  });
  CAPTURE(end.messages);
  CHECK(end.exit_status == 0);
}

TEST_CASE("Stream: a reader and a writer of one File wait at the same time") {
  in_fibers([] {
    Ends ends = sockets();
    const std::string text = pattern(1U << 20);
    std::string room(5, '\0');
    auto reader = ramie::spawn([&] { return ends.file.read_exact(writable_bytes(room)); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    auto writer = ramie::spawn([&] { return ends.file.write_all(bytes(text)); });
    REQUIRE(until_parked(WaitKind::writable, 1));
    std::string got(text.size(), '\0');
    for (std::size_t at = 0; at < got.size();) {
      const ssize_t n = ::recv(ends.other, got.data() + at, got.size() - at, MSG_DONTWAIT);
      if (n > 0) at += static_cast<std::size_t>(n);
      else ramie::yield_now();
    }
    CHECK(writer.join().has_value());
    CHECK(same(got, text));
    ends.send("hello");
    CHECK(reader.join().has_value());
    CHECK(room == "hello");
  });
}

TEST_CASE("Stream: a foreign description stays blocking for its other users") {
  const Folder folder;
  for (const Kind& kind : readable_kinds(folder)) {
    if (std::string_view(kind.name).find("foreign") == std::string_view::npos &&
        kind.name != std::string_view("a pipe"))
      continue;
    in_fibers([&] {
      CAPTURE(kind.name);
      Ends ends = kind.make();
      std::string room(1, '\0');
      (void)ramie::timeout(2ms, [&] { return ends.file.read(writable_bytes(room)); });
      ends.send("x");
      CHECK(ends.file.read(writable_bytes(room)) == 1U);
      CHECK((::fcntl(ends.file.fd(), F_GETFL) & O_NONBLOCK) == 0);
    });
  }
}

TEST_CASE(
    "Stream: much data goes through a FIFO unchanged, between threads and fibers, opened by "
    "either") {
  const Folder folder;
  const std::string path = folder / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const std::string text = pattern(3U << 20);
  everywhere([&] {
    std::thread writer([&] { (void)fs::write(path, text); });
    const auto got = fs::read_to_string(path);
    writer.join();
    REQUIRE(got.has_value());
    CHECK(same(*got, text));
  });
  // A plain thread opened both ends. A fiber reads, then that thread again.
  File both = ramie::or_throw(OpenOptions().read().write().open(path));
  in_fibers([&] {
    std::string room(4, '\0');
    CHECK(error_of(ramie::timeout(5ms, [&] { return both.read(writable_bytes(room)); })) ==
          errc::timed_out);
    CHECK(both.write_all(bytes("four")).has_value());
    CHECK(both.read(writable_bytes(room)) == 4U);
  });
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    (void)both.write_all(bytes("five"));
  });
  std::string room(4, '\0');
  CHECK(both.read_exact(writable_bytes(room)).has_value());
  CHECK(room == "five");
  later.join();
}

TEST_CASE("Stream: devices without readiness are read and written as files") {
  everywhere([] {
    CHECK(fs::read("/dev/null").value().empty());
    CHECK(fs::write("/dev/null", "gone").has_value());
    auto zero = ramie::or_throw(OpenOptions().read().write().open("/dev/zero"));
    std::string room(200'000, 'x');
    CHECK(zero.read_exact(writable_bytes(room)).has_value());
    CHECK(room == std::string(room.size(), '\0'));
    auto full = ramie::or_throw(OpenOptions().write().open("/dev/full"));
    CHECK(error_of(full.write(bytes("x"))) == std::errc::no_space_on_device);
    auto random = ramie::or_throw(File::open("/dev/urandom"));
    CHECK(random.read_exact(writable_bytes(room)).has_value());
  });
}
