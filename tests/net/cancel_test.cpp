// Tests the ends of waits: cancel, deadline and shutdown, in each kind of wait of a socket. The
// error is the right one, and no byte and no connection is lost.
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::sched::WaitKind;

// One thing of each kind to wait for that never happens. It is a Unix socket, whose full buffer
// stays full; over TCP the kernel still moves bytes for a while.
struct Places {
  Places() : listener(ramie::or_throw(TcpListener::bind("127.0.0.1:0"))) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0)
      throw std::system_error(errno, std::system_category(), "socketpair");
    peer = RawSocket(pair[1]);
    // Filled before it is registered, so the driver never sees it writable.
    const std::string block(100'000, 'x');
    while (::send(pair[0], block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
    while (::send(pair[0], block.data(), 1, MSG_NOSIGNAL) > 0) {
    }
    stream = ramie::or_throw(TcpStream::from_fd(pair[0]));
  }
  TcpListener listener;
  TcpStream stream;
  RawSocket peer{-1};
  std::array<std::byte, 16> buffer{};
};

struct Kind {
  const char* name;
  WaitKind wait;
  std::function<Result<void>(Places&)> operation;
};

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return ramie::failure(result.error());
  return {};
}

const Kind kKinds[] = {
    {"read", WaitKind::readable, [](Places& p) { return only_error(p.stream.read(p.buffer)); }},
    {"peek", WaitKind::readable, [](Places& p) { return only_error(p.stream.peek(p.buffer)); }},
    {"read_vectored", WaitKind::readable,
     [](Places& p) {
       const std::array<std::span<std::byte>, 1> parts{p.buffer};
       return only_error(p.stream.read_vectored(parts));
     }},
    {"read_exact", WaitKind::readable, [](Places& p) { return p.stream.read_exact(p.buffer); }},
    {"readable", WaitKind::readable, [](Places& p) { return p.stream.readable(); }},
    {"write", WaitKind::writable, [](Places& p) { return only_error(p.stream.write(p.buffer)); }},
    {"write_vectored", WaitKind::writable,
     [](Places& p) {
       const std::array<std::span<const std::byte>, 1> parts{p.buffer};
       return only_error(p.stream.write_vectored(parts));
     }},
    {"write_all", WaitKind::writable, [](Places& p) { return p.stream.write_all(p.buffer); }},
    {"writable", WaitKind::writable, [](Places& p) { return p.stream.writable(); }},
    {"accept", WaitKind::accept, [](Places& p) { return only_error(p.listener.accept()); }},
};

}  // namespace

TEST_CASE("A cancel ends every wait of a socket with canceled") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      Places places;
      for (const Kind& kind : kKinds) {
        CAPTURE(kind.name);
        auto fiber = ramie::spawn([&] { return kind.operation(places); });
        REQUIRE(until_parked(kind.wait, 1));
        fiber.cancel();
        CHECK(error_of(fiber.join()) == errc::canceled);
      }
    });
  }
}

TEST_CASE("A deadline ends every wait of a socket with timed_out, and not early") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      Places places;
      for (const Kind& kind : kKinds) {
        CAPTURE(kind.name);
        const auto begin = std::chrono::steady_clock::now();
        const auto ended = ramie::timeout(3ms, [&] { return kind.operation(places); });
        CHECK(error_of(ended) == errc::timed_out);
        CHECK(std::chrono::steady_clock::now() - begin >= 3ms);
      }
    });
  }
}

TEST_CASE("Waits that are refused before they begin have no effect") {
  in_runtime(1, [] {
    Places places;
    const ramie::CancellationToken token;
    token.cancel();
    for (const Kind& kind : kKinds) {
      CAPTURE(kind.name);
      CHECK(error_of(ramie::until(token, [&] { return kind.operation(places); })) ==
            errc::canceled);
      CHECK(error_of(ramie::timeout(1ms, [&] { return kind.operation(places); })) ==
            errc::timed_out);
    }
  });
}

TEST_CASE("Shutdown ends every wait of a socket with shutting_down") {
  for (const std::size_t workers : kWorkerCounts) {
    const Watchdog watchdog(std::chrono::seconds(60));
    open_reserve();
    const std::size_t before = open_descriptors();
    std::map<std::string, std::error_code> ends;
    {
      std::mutex mutex;
      auto runtime = make_runtime(workers);
      runtime.block_on([&] {
        for (const Kind& kind : kKinds) {
          ramie::spawn([&mutex, &ends, &kind] {
            Places places;
            const auto ended = kind.operation(places);
            const std::lock_guard lock(mutex);
            ends[kind.name] = error_of(ended);
          }).detach();
        }
        REQUIRE(until_parked(WaitKind::readable, 5));
        REQUIRE(until_parked(WaitKind::writable, 4));
        REQUIRE(until_parked(WaitKind::accept, 1));
      });
      CHECK(runtime.shutdown(5s).empty());
    }
    CHECK(ends.size() == std::size(kKinds));
    for (const auto& [name, end] : ends) {
      CAPTURE(name);
      CHECK(end == errc::shutting_down);
    }
    CHECK(open_descriptors() == before);
  }
}

TEST_CASE("Cancelled reads consume nothing: every byte arrives, in order") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr std::uint32_t kWords = 20'000;
      RawPair pair = raw_pair();
      auto sender = ramie::spawn_blocking([peer = std::move(pair.peer)]() mutable {
        for (std::uint32_t i = 0; i < kWords; ++i) {
          if (!peer.send(std::string_view(reinterpret_cast<const char*>(&i), sizeof i))) return i;
          if (i % 64 == 0) std::this_thread::sleep_for(100us);
        }
        return kWords;
      });
      std::string got;
      std::array<std::byte, 37> buffer;
      std::size_t ended = 0;
      for (unsigned turn = 0;; ++turn) {
        const auto n = ramie::timeout(std::chrono::microseconds(turn % 5 * 30),
                                      [&] { return pair.stream.read(buffer); });
        if (!n) {
          REQUIRE(error_of(n) == errc::timed_out);
          ++ended;
          continue;
        }
        if (*n == 0) break;
        got.append(reinterpret_cast<const char*>(buffer.data()), *n);
      }
      CHECK(*sender.join() == kWords);
      CHECK(ended > 0);
      REQUIRE(got.size() == kWords * sizeof(std::uint32_t));
      std::uint32_t wrong = 0;
      for (std::uint32_t i = 0; i < kWords; ++i) {
        std::uint32_t word = 0;
        std::memcpy(&word, got.data() + i * sizeof word, sizeof word);
        wrong += word != i ? 1 : 0;
      }
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("Cancelled writes send nothing: what write() returned is what arrives") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      RawPair pair = raw_pair();
      (void)pair.stream.set_send_buffer_size(4096);
      auto receiver = ramie::spawn_blocking([peer = std::move(pair.peer)]() mutable {
        std::string all;
        for (;;) {
          const std::string part = peer.receive(50'000);
          if (part.empty()) return all;
          all += part;
          std::this_thread::sleep_for(200us);
        }
      });
      std::string sent;
      std::string block(30'000, '\0');
      std::size_t ended = 0;
      for (unsigned turn = 0; turn < 1000; ++turn) {
        block.assign(block.size(), static_cast<char>('a' + turn % 26));
        const auto n = ramie::timeout(std::chrono::microseconds(turn % 4 * 40),
                                      [&] { return pair.stream.write(bytes(block)); });
        if (n) sent.append(block, 0, *n);
        else ++ended;
      }
      CHECK(pair.stream.shutdown(ramie::net::Shutdown::write).has_value());
      CHECK(*receiver.join() == sent);
      CHECK(ended > 0);
    });
  }
}
