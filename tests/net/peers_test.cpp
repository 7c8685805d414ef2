// Tests what a stream sees of peers that reset or are slow, and of signals.
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::sched::WaitKind;

// Client and server exchange `rounds` messages through every call. Returns whether all were right.
bool converse(TcpListener& listener, int rounds) {
  const auto address = *listener.local_addr();
  auto server = ramie::spawn([&] {
    auto accepted = listener.accept();
    if (!accepted) return false;
    std::array<std::byte, 64> buffer;
    for (int i = 0; i < rounds; ++i) {
      const std::array<std::span<std::byte>, 2> parts{std::span(buffer).first(3),
                                                      std::span(buffer).subspan(3)};
      const auto n =
          i % 2 == 0 ? accepted->stream.read(buffer) : accepted->stream.read_vectored(parts);
      if (!n || *n == 0) return false;
      if (!accepted->stream.write_all(std::span(buffer).first(*n))) return false;
    }
    return true;
  });
  auto stream = TcpStream::connect(address);
  if (!stream) return false;
  for (int i = 0; i < rounds; ++i) {
    const std::string sent = "message " + std::to_string(i);
    const std::array<std::span<const std::byte>, 1> parts{bytes(sent)};
    if (i % 2 == 0) {
      if (!stream->write_all(bytes(sent))) return false;
    } else {
      if (const auto n = stream->write_vectored(parts); !n || *n != sent.size()) return false;
    }
    std::string got(sent.size(), '\0');
    if (!stream->read_exact(writable_bytes(got)) || got != sent) return false;
  }
  return *server.join();
}

}  // namespace

TEST_CASE("A signal that interrupts any system call has no effect") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      std::vector<std::string_view> names{"accept4", "connect", "recv",      "recvmsg",
                                          "send",    "sendmsg", "epoll_wait"};
      for (const std::string_view name : names) {
        CAPTURE(std::string(name));
        const Fault fault({.calls = {name}, .error = EINTR, .times = Fault::kAlways, .every = 2});
        // Whether a worker sleeps, and how long at most, is chance.
        for (int i = 0; i < 100 && fault.hits() == 0; ++i) CHECK(converse(listener, 20));
        CHECK(fault.hits() > 0);
      }
      names.push_back("epoll_pwait2");  // only a sleep with a limit uses it
      const Fault all({.calls = names, .error = EINTR, .times = Fault::kAlways, .every = 3});
      CHECK(converse(listener, 100));
      CHECK(all.hits() > 50);
    });
  }
}

TEST_CASE("EAGAIN after readiness means waiting again, not an error", "[net]") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.peer.send("first"));
    REQUIRE(pair.stream.readable().has_value());
    std::array<std::byte, 16> buffer;
    const Fault fault({.calls = {"recv"}, .error = EAGAIN});
    auto reader = ramie::spawn([&] { return pair.stream.read(buffer); });
    REQUIRE(until_parked(WaitKind::readable, 1));  // for the reader the edge was spurious
    REQUIRE(pair.peer.send("second"));
    CHECK(*reader.join() == 11);
  });
}

TEST_CASE("Errors of recv and send are returned unchanged, and later calls work") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    std::array<std::byte, 16> buffer;
    REQUIRE(pair.peer.send("x"));
    for (const int error : {ENOMEM, ETIMEDOUT, EHOSTUNREACH, EIO}) {
      const Fault fault({.calls = {"recv", "send"}, .error = error, .times = 2});
      const auto got = pair.stream.read(buffer);
      CHECK(error_of(got) == std::error_code(error, std::system_category()));
      CHECK(pair.stream.write(bytes("y")).error().value() == error);
    }
    CHECK(*pair.stream.read(buffer) == 1);
  });
}

TEST_CASE("A reset reaches the waiting reader and writer, then ends the stream") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      RawPair pair = raw_pair();
      (void)pair.stream.set_send_buffer_size(4096);
      std::array<std::byte, 16> buffer;
      const std::string block(8U << 20U, 'x');
      auto reader = ramie::spawn([&] { return pair.stream.read(buffer); });
      auto writer = ramie::spawn([&] { return pair.stream.write_all(bytes(block)); });
      REQUIRE(until_parked(WaitKind::readable, 1));
      REQUIRE(until_parked(WaitKind::writable, 1));
      pair.peer.reset();
      const auto read = reader.join();
      const auto written = writer.join();
      REQUIRE_FALSE(written.has_value());
      // The kernel gives the error to the first call; the other one sees the end.
      const bool reader_saw = !read && read.error() == std::errc::connection_reset;
      const bool writer_saw = written.error() == std::errc::connection_reset;
      CHECK((reader_saw || writer_saw));
      CHECK((reader_saw || (read && *read == 0)));
      CHECK((writer_saw || written.error() == std::errc::broken_pipe));
      CHECK(*pair.stream.read(buffer) == 0);
      CHECK(error_of(pair.stream.write(bytes("x"))) == std::errc::broken_pipe);
    });
  }
}

TEST_CASE("A reset before the read is returned by the read") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    pair.peer.reset();
    REQUIRE(pair.stream.readable().has_value());
    std::array<std::byte, 16> buffer;
    CHECK(error_of(pair.stream.read(buffer)) == std::errc::connection_reset);
  });
}

TEST_CASE("A slow reader makes the writer wait, and nothing is lost") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      RawPair pair = raw_pair();
      // A smaller buffer than a segment would make each one wait for a delayed acknowledgement.
      (void)pair.stream.set_send_buffer_size(200'000);
      const int little = 100'000;
      (void)::setsockopt(pair.peer.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
      const std::string sent(6'000'000, 'x');
      std::atomic<bool> is_done{false};
      auto writer = ramie::spawn([&] {
        const auto written = pair.stream.write_all(bytes(sent));
        is_done = true;
        return written;
      });
      REQUIRE(until_parked(WaitKind::writable, 1));
      CHECK_FALSE(is_done);
      auto reader = ramie::spawn_blocking([&] {
        std::size_t total = 0;
        while (total < sent.size()) {
          const std::size_t n =
              pair.peer.receive(std::min<std::size_t>(sent.size() - total, 100'000)).size();
          if (n == 0) break;
          total += n;
        }
        return total;
      });
      CHECK(writer.join().has_value());
      CHECK(*reader.join() == sent.size());
    });
  }
}

TEST_CASE("A writer and a reader of one stream work at the same time") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr std::size_t kBytes = 8U << 20U;
      TcpPair pair = tcp_pair();
      const auto send = [](TcpStream& stream) {
        const std::string block(50'000, 'x');
        for (std::size_t sent = 0; sent < kBytes; sent += block.size())
          if (!stream.write_all(bytes(block).first(std::min(block.size(), kBytes - sent)))) return;
        (void)stream.shutdown(ramie::net::Shutdown::write);
      };
      const auto count = [](TcpStream& stream) {
        std::array<std::byte, 30'000> buffer;
        std::size_t total = 0;
        for (;;) {
          const auto n = stream.read(buffer);
          if (!n || *n == 0) return total;
          total += *n;
        }
      };
      auto near_writer = ramie::spawn([&] { send(pair.near); });
      auto far_writer = ramie::spawn([&] { send(pair.far); });
      auto near_reader = ramie::spawn([&] { return count(pair.near); });
      auto far_reader = ramie::spawn([&] { return count(pair.far); });
      CHECK(*near_reader.join() == kBytes);
      CHECK(*far_reader.join() == kBytes);
      CHECK(near_writer.join().has_value());
      CHECK(far_writer.join().has_value());
    });
  }
}
