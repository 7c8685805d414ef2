// Tests a fiber that keeps its worker: it computes or blocks the thread. Operations of others in
// that worker's ring still complete and can be cancelled, as long as another worker visits the
// ring.
#include "tests/fs/support.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/uring/support.hpp"

#include <ramie/net/uring.hpp>
#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ramie::errc;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::runtime::IoBackend;
using ramie_test::error_of;
using uring_test::Pipe;
using uring_test::read_from;

namespace {

constexpr auto kTooLong = 20s;
constexpr auto kSlice = 200ms;

// What the fiber that keeps its worker waits for.
struct Signal {
  std::atomic<bool> is_set{false};
  std::mutex mutex;
  std::condition_variable changed;

  void set() {
    const std::lock_guard lock(mutex);
    is_set = true;
    changed.notify_all();
  }
};

// Ways to keep a worker until the signal is set. They return false if that took too long.
bool compute(Signal& signal) {
  const auto end = Clock::now() + kTooLong;
  while (!signal.is_set)
    if (Clock::now() > end) return false;
  return true;
}

bool block(Signal& signal) {
  std::unique_lock lock(signal.mutex);
  return signal.changed.wait_for(lock, kTooLong, [&] { return signal.is_set.load(); });
}

bool sleep_long(Signal& signal) {
  for (int i = 0; i < 100 && !signal.is_set; ++i) std::this_thread::sleep_for(kSlice);
  return signal.is_set;
}

bool poll_files(Signal& signal) {
  for (int i = 0; i < 100 && !signal.is_set; ++i)
    (void)::poll(nullptr, 0, static_cast<int>(kSlice.count()));
  return signal.is_set;
}

// A plain socket.
int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  return fd;
}

using Keep = bool (*)(Signal&);

// Runs `operate` in a fiber. When it waits, runs `keep` on the worker where that fiber began, while
// a plain thread calls `happen`. Returns whether the fiber ended before `keep` gave up. The fiber
// may begin on another worker; then everything is repeated from `prepare` on.
bool ends_beside_here(Keep keep, const std::function<void()>& operate,
                      const std::function<void()>& happen, const std::function<void()>& prepare) {
  for (int i = 0; i < 1000; ++i) {
    prepare();
    Signal ended;
    std::atomic<int> home{-1};
    auto fiber = ramie::spawn([&] {
      home = ramie::current::worker_index();
      operate();
      ended.set();
    });
    while (home == -1) (void)ramie::sleep_for(100us);
    const bool is_beside = home == ramie::current::worker_index() && !ended.is_set;
    std::thread outside([&] {
      if (is_beside) std::this_thread::sleep_for(2ms);
      happen();
    });
    const bool is_over = !is_beside || keep(ended);
    outside.join();
    (void)fiber.join();
    if (is_beside) return is_over;
  }
  return false;
}

// Pinned, because otherwise an idle worker would take the fiber that should keep this one.
bool ends_beside(
    Keep keep, const std::function<void()>& operate, const std::function<void()>& happen = [] {},
    const std::function<void()>& prepare = [] {}) {
  const auto ends = ramie::spawn({.pinned = true}, [&] {
                      return ends_beside_here(keep, operate, happen, prepare);
                    }).join();
  return ends.has_value() && *ends;
}

template <class F>
void with_workers(std::size_t workers, IoBackend io, F&& function) {
  ramie_test::in_runtime_of(std::move(ramie_test::quiet_builder(workers).io(io)),
                            std::forward<F>(function));
}

}  // namespace

TEST_CASE("An operation ends although a fiber keeps the worker that started it", "[uring]") {
  for (const Keep keep : {&compute, &block, &sleep_long, &poll_files}) {
    ramie_test::in_runtime(2, [&] {
      const Pipe pipe;
      std::array<char, 8> buffer{};
      int count = 0;
      CHECK(ends_beside(
          keep, [&] { count += read_from(pipe.ends[0], buffer.data(), 1).value().result; },
          [&] { pipe.put("x"); }));
      CHECK(count >= 1);
    });
  }
}

TEST_CASE("Files: written, synchronised and read although a fiber keeps the worker",
          "[uring][fs]") {
  for (const Keep keep : {&compute, &block}) {
    ramie_test::in_runtime(2, [&] {
      ramie_test::Folder folder;
      const std::string path = folder / "file";
      std::vector<std::byte> data(1U << 20U, std::byte{7});
      bool is_same = false;
      CHECK(ends_beside(keep, [&] {
        auto file = ramie::or_throw(ramie::fs::File::create(path));
        for (int i = 0; i < 4; ++i) ramie::or_throw(file.write_all(data));
        ramie::or_throw(file.sync_data());
        std::vector<std::byte> back(data.size());
        auto again = ramie::or_throw(ramie::fs::File::open(path));
        ramie::or_throw(again.read_exact(back));
        is_same = back == data;
      }));
      CHECK(is_same);
    });
  }
}

TEST_CASE("Files: a read past the cache ends although a fiber keeps the worker", "[uring][fs]") {
  for (const Keep keep : {&compute, &block}) {
    ramie_test::in_runtime(2, [&] {
      ramie_test::Folder folder;
      ramie_test::put(folder / "file", ramie_test::pattern(1U << 20U));
      auto file = ramie::fs::OpenOptions().read(true).direct(true).open(folder / "file");
      if (!file) RAMIE_SKIP("needs a file system with O_DIRECT");
      const std::unique_ptr<std::byte, decltype(&std::free)> memory(
          static_cast<std::byte*>(std::aligned_alloc(4096, 1U << 20U)), &std::free);
      std::atomic<std::size_t> count{0};
      CHECK(ends_beside(keep, [&] {
        const std::span<std::byte> all(memory.get(), 1U << 20U);
        count = file->read_at(all, 0).value();
      }));
      CHECK(count > 0);
    });
  }
}

TEST_CASE("A cancel and a deadline reach the kernel although a fiber keeps the worker", "[uring]") {
  for (const Keep keep : {&compute, &block}) {
    ramie_test::in_runtime(2, [&] {
      const Pipe pipe;
      std::array<char, 8> buffer{};
      std::error_code why;
      CHECK(ends_beside(keep, [&] {
        why = error_of(
            ramie::timeout(20ms, [&] { return read_from(pipe.ends[0], buffer.data(), 1); }));
      }));
      CHECK(why == errc::timed_out);
      std::optional<ramie::CancellationToken> token;
      CHECK(ends_beside(
          keep,
          [&] {
            why = error_of(
                ramie::until(*token, [&] { return read_from(pipe.ends[0], buffer.data(), 1); }));
          },
          [&] { token->cancel(); }, [&] { token.emplace(); }));
      CHECK(why == errc::canceled);
    });
  }
}

TEST_CASE("An open that waits in the kernel is cancelled although a fiber keeps the worker",
          "[uring]") {
  ramie_test::in_runtime(2, [] {
    ramie_test::Folder folder;
    const std::string path = folder / "fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    std::error_code why;
    CHECK(ends_beside(&compute, [&] {
      why = error_of(ramie::timeout(20ms, [&] {
        return ramie::uring::submit([&](ramie::uring::Entry& entry) {
          entry.opcode = IORING_OP_OPENAT;
          entry.flags = IOSQE_ASYNC;  // otherwise it first tries O_NONBLOCK, which succeeds
          entry.fd = AT_FDCWD;
          entry.address = reinterpret_cast<std::uintptr_t>(path.c_str());
          entry.operation_flags = O_RDONLY | O_CLOEXEC;
        });
      }));
    }));
    CHECK(why);
  });
}

TEST_CASE("Sockets: data arrives although a fiber keeps the worker", "[uring]") {
  for (const Keep keep : {&compute, &block}) {
    with_workers(2, IoBackend::uring, [&] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      auto near = ramie::or_throw(TcpStream::connect(ramie::or_throw(listener.local_addr())));
      auto far = ramie::or_throw(listener.accept());
      std::array<std::byte, 16> buffer{};
      std::size_t count = 0;
      CHECK(ends_beside(
          keep, [&] { count = near.read(buffer).value(); },
          [&] {
            const int stream = far.stream.fd();
            if (::send(stream, "x", 1, MSG_NOSIGNAL) != 1) std::abort();
          }));
      CHECK(count >= 1);
      std::error_code why;
      CHECK(ends_beside(keep, [&] {
        why = error_of(ramie::timeout(20ms, [&] {
          for (;;)
            if (auto n = near.read(buffer); !n) return n;
        }));
      }));
      CHECK(why == errc::timed_out);
    });
  }
}

TEST_CASE("Acceptor: a connection is taken although a fiber keeps the worker", "[uring]") {
  ramie_test::in_runtime(2, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    ramie::net::Acceptor acceptor(listener);
    const int port = ramie::or_throw(listener.local_addr()).port();
    bool is_taken = false;
    CHECK(ends_beside(
        &compute, [&] { is_taken = acceptor.next().has_value(); },
        [&] { ::close(connect_to(port)); }));
    CHECK(is_taken);
  });
}

TEST_CASE("A worker that is never idle takes the completions of a stuck one too", "[uring]") {
  ramie_test::in_runtime(2, [] {
    std::atomic<bool> is_over{false};
    std::vector<ramie::JoinHandle<void>> crowd;
    for (int i = 0; i < 4; ++i)
      crowd.push_back(ramie::spawn([&] {
        while (!is_over) ramie::yield_now();
      }));
    const Pipe pipe;
    std::array<char, 8> buffer{};
    CHECK(ends_beside(
        &compute, [&] { (void)read_from(pipe.ends[0], buffer.data(), 1); },
        [&] { pipe.put("x"); }));
    std::error_code why;
    CHECK(ends_beside(&compute, [&] {
      why = error_of(ramie::timeout(20ms, [&] {
        for (;;)
          if (auto n = read_from(pipe.ends[0], buffer.data(), 1); !n) return n;
      }));
    }));
    CHECK(why == errc::timed_out);
    is_over = true;
    for (auto& one : crowd) CHECK(one.join().has_value());
  });
}

TEST_CASE("A sleeping worker is woken when an operation is left in a ring", "[uring]") {
  ramie_test::in_runtime(2, [] {
    for (int i = 0; i < 5; ++i) {
      const Pipe pipe;
      std::array<char, 8> buffer{};
      const auto rest = Clock::now() + 30ms;  // longer than an idle watch lasts
      while (Clock::now() < rest) {
      }
      CHECK(ends_beside(
          &block, [&] { (void)read_from(pipe.ends[0], buffer.data(), 1); },
          [&] {
            std::this_thread::sleep_for(30ms);
            pipe.put("x");
          }));
    }
  });
}

TEST_CASE("Two workers that wait for each other's operations are helped by a third", "[uring]") {
  ramie_test::in_runtime(3, [] {
    const Pipe pipes[2];
    std::array<char, 2> bytes{};
    // Each byte is written only when the other side's fiber keeps its worker too.
    std::atomic<int> keeping{0};
    const auto side = [&](std::size_t i) {
      return ends_beside([](Signal& signal) { return block(signal); },
                         [&] { (void)read_from(pipes[i].ends[0], &bytes[i], 1); },
                         [&] {
                           ++keeping;
                           const auto end = Clock::now() + 1s;
                           while (keeping < 2 && Clock::now() < end)
                             std::this_thread::sleep_for(1ms);
                           pipes[i].put("x");
                         });
    };
    auto first = ramie::spawn([&] { return side(0); });
    auto second = ramie::spawn([&] { return side(1); });
    CHECK(first.join() == true);
    CHECK(second.join() == true);
  });
}
