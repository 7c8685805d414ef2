// Tests TcpStream: what arrives, in which portions, and how a stream ends.
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>

#include <fcntl.h>
#include <array>
#include <catch2/catch.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::net::Shutdown;
using ramie::net::TcpStream;
using ramie::sched::WaitKind;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 26 + (i / 26) % 3);
  return text;
}

std::string read_some(TcpStream& stream, std::size_t at_most) {
  std::string text(at_most, '\0');
  text.resize(ramie::or_throw(stream.read(writable_bytes(text))));
  return text;
}

// Echoes until the end of the stream. Returns the number of bytes.
std::size_t echo(TcpStream stream) {
  std::array<std::byte, 4096> buffer;
  std::size_t total = 0;
  for (;;) {
    const auto n = stream.read(buffer);
    if (!n || *n == 0) return total;
    if (!stream.write_all(std::span(buffer).first(*n))) return total;
    total += *n;
  }
}

}  // namespace

TEST_CASE("B62 TcpStream: data of every size comes back unchanged") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      TcpPair pair = tcp_pair();
      auto server = ramie::spawn(echo, std::move(pair.far));
      std::size_t total = 0;
      for (const std::size_t size : {1UL, 2UL, 4095UL, 4096UL, 4097UL, 65536UL, 1000000UL}) {
        const std::string sent = pattern(size);
        std::string got(size, '\0');
        auto writer = ramie::spawn([&] { return pair.near.write_all(bytes(sent)); });
        REQUIRE(pair.near.read_exact(writable_bytes(got)).has_value());
        REQUIRE(writer.join().has_value());
        CHECK(got == sent);
        total += size;
      }
      REQUIRE(pair.near.shutdown(Shutdown::write).has_value());
      CHECK(read_some(pair.near, 10).empty());
      CHECK(*server.join() == total);
    });
  }
}

TEST_CASE("B52 a read that was not filled is followed by the peer's next write") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      RawPair pair = raw_pair();
      for (int i = 0; i < 200; ++i) {
        auto reader = ramie::spawn([&] { return read_some(pair.stream, 100); });
        if (i % 2 == 0) REQUIRE(until_parked(WaitKind::readable, 1));
        REQUIRE(pair.peer.send("abc"));
        REQUIRE(*reader.join() == "abc");
      }
    });
  }
}

TEST_CASE("B52 a read that was filled leaves the rest readable") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.peer.send(pattern(100)));
    std::string got;
    while (got.size() < 100) got += read_some(pair.stream, 10);
    CHECK(got == pattern(100));
    CHECK(error_of(ramie::timeout(5ms, [&] {
            std::array<std::byte, 8> none;
            return pair.stream.read(none);
          })) == errc::timed_out);
  });
}

TEST_CASE("B62 peek shows without taking") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    std::array<std::byte, 4> two{};
    auto peeker = ramie::spawn([&] { return pair.stream.peek(two); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    REQUIRE(pair.peer.send("abcdef"));
    CHECK(*peeker.join() == 4);
    CHECK(*pair.stream.peek(two) == 4);
    CHECK(read_some(pair.stream, 100) == "abcdef");
    pair.peer.half_close();
    CHECK(*pair.stream.peek(two) == 0);
    CHECK(*pair.stream.peek(two) == 0);
  });
}

TEST_CASE("readable() takes nothing and returns when a read would not wait") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    CHECK(error_of(ramie::timeout(5ms, [&] { return pair.stream.readable(); })) == errc::timed_out);
    auto waiter = ramie::spawn([&] { return pair.stream.readable(); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    REQUIRE(pair.peer.send("abc"));
    CHECK(waiter.join().has_value());
    CHECK(pair.stream.readable().has_value());
    CHECK(read_some(pair.stream, 100) == "abc");
    CHECK(error_of(ramie::timeout(5ms, [&] { return pair.stream.readable(); })) == errc::timed_out);
    pair.peer.half_close();
    CHECK(pair.stream.readable().has_value());
    CHECK(read_some(pair.stream, 1).empty());
    CHECK(pair.stream.writable().has_value());
  });
}

TEST_CASE("read_exact: fills the buffer, or returns connection_aborted if the peer ends before") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    std::string four(4, '\0');
    auto reader = ramie::spawn([&] { return pair.stream.read_exact(writable_bytes(four)); });
    for (const char* part : {"a", "bc", "de"}) {
      REQUIRE(pair.peer.send(part));
      (void)ramie::sleep_for(1ms);
    }
    REQUIRE(reader.join().has_value());
    CHECK(four == "abcd");
    pair.peer.half_close();
    CHECK(error_of(pair.stream.read_exact(writable_bytes(four))) == std::errc::connection_aborted);
    CHECK(pair.stream.read_exact({}).has_value());
  });
}

TEST_CASE("Empty buffers cost nothing and are not an end of stream") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    CHECK(*pair.stream.read({}) == 0);
    CHECK(*pair.stream.peek({}) == 0);
    CHECK(*pair.stream.write({}) == 0);
    CHECK(*pair.stream.read_vectored({}) == 0);
    CHECK(*pair.stream.write_vectored({}) == 0);
    const std::array<std::span<std::byte>, 3> empties{};
    CHECK(*pair.stream.read_vectored(empties) == 0);
    CHECK(pair.stream.write_all({}).has_value());
  });
}

TEST_CASE("Vectored: several parts are moved in order, in both directions") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    const std::array<std::span<const std::byte>, 4> out{bytes("ab"), bytes(""), bytes("cde"),
                                                        bytes("f")};
    CHECK(*pair.stream.write_vectored(out) == 6);
    CHECK(pair.peer.receive(6) == "abcdef");
    REQUIRE(pair.peer.send("ghijkl"));
    std::string first(2, '\0');
    std::string second(9, '\0');
    const std::array<std::span<std::byte>, 3> in{writable_bytes(first), std::span<std::byte>(),
                                                 writable_bytes(second)};
    CHECK(*pair.stream.read_vectored(in) == 6);
    CHECK(first + second.substr(0, 4) == "ghijkl");
  });
}

// The system call takes a limited number of parts. If the kernel fills only those, that must not
// count as a short read: it would clear a readiness that only new data brings back.
TEST_CASE("Vectored: more parts than one call takes, with pending data, are all served") {
  for (const std::size_t parts : {63UL, 64UL, 65UL, 200UL, 2000UL}) {
    CAPTURE(parts);
    in_runtime(1, [parts] {
      RawPair pair = raw_pair();
      const std::string sent = pattern(parts);
      std::vector<std::span<const std::byte>> out;
      for (std::size_t i = 0; i < parts; ++i) out.push_back(bytes(sent).subspan(i, 1));
      for (std::span<const std::span<const std::byte>> rest(out); !rest.empty();)
        rest = rest.subspan(ramie::or_throw(pair.stream.write_vectored(rest)));
      CHECK(pair.peer.receive(parts) == sent);

      REQUIRE(pair.peer.send(sent));
      REQUIRE(pair.stream.readable().has_value());
      std::string got(parts, '\0');
      std::vector<std::span<std::byte>> in;
      for (std::size_t i = 0; i < parts; ++i) in.push_back(writable_bytes(got).subspan(i, 1));
      const auto all = ramie::timeout(5s, [&]() -> ramie::Result<void> {
        for (std::span<const std::span<std::byte>> rest(in); !rest.empty();) {
          const auto n = pair.stream.read_vectored(rest);
          if (!n) return ramie::failure(n.error());
          rest = rest.subspan(*n);
        }
        return {};
      });
      CHECK(all.has_value());
      CHECK(got == sent);
    });
  }
}

TEST_CASE("Vectored: empty parts before the first byte are not an end of stream") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    std::vector<std::span<const std::byte>> out(100);
    out.push_back(bytes("xyz"));
    CHECK(*pair.stream.write_vectored(out) == 3);
    CHECK(pair.peer.receive(3) == "xyz");
    REQUIRE(pair.peer.send("uvw"));
    std::string got(8, '\0');
    std::vector<std::span<std::byte>> in(100);
    in.push_back(writable_bytes(got));
    CHECK(*pair.stream.read_vectored(in) == 3);
    CHECK(got.substr(0, 3) == "uvw");
  });
}

TEST_CASE("B62 shutdown: may be repeated, and a connection that is gone is no error") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    CHECK(pair.stream.shutdown(Shutdown::write).has_value());
    CHECK(pair.stream.shutdown(Shutdown::write).has_value());
    CHECK(pair.peer.peek_outcome() == 0);
    REQUIRE(pair.peer.send("still open"));
    CHECK(read_some(pair.stream, 100) == "still open");
    CHECK(error_of(pair.stream.write(bytes("x"))) == std::errc::broken_pipe);
    pair.peer.reset();
    (void)ramie::sleep_for(2ms);
    CHECK(pair.stream.shutdown(Shutdown::both).has_value());
    CHECK(pair.stream.shutdown(Shutdown::read).has_value());
    CHECK(pair.stream.shutdown(Shutdown::both).has_value());
  });
}

TEST_CASE("A half-closed peer can still be written to, and its end is read again and again") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.peer.send("last words"));
    pair.peer.half_close();
    CHECK(read_some(pair.stream, 100) == "last words");
    for (int i = 0; i < 3; ++i) CHECK(read_some(pair.stream, 100).empty());
    REQUIRE(pair.stream.write_all(bytes("answer")).has_value());
    CHECK(pair.peer.receive(6) == "answer");
  });
}

TEST_CASE("shutdown() of the receiving side ends its reader") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    auto reader = ramie::spawn([&] { return read_some(pair.stream, 10).size(); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    REQUIRE(pair.stream.shutdown(Shutdown::read).has_value());
    CHECK(*reader.join() == 0);
  });
}

TEST_CASE("into_fd returns the socket; from_fd takes it over and refuses a blocking one") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    const int fd = pair.stream.into_fd();
    CHECK_FALSE(pair.stream.is_open());
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(error_of(pair.stream.read({})) == std::errc::bad_file_descriptor);
    auto again = ramie::or_throw(TcpStream::from_fd(fd));
    REQUIRE(again.write_all(bytes("hello")).has_value());
    CHECK(pair.peer.receive(5) == "hello");
    const int blocking = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(error_of(TcpStream::from_fd(blocking)) == std::errc::invalid_argument);
    CHECK(::fcntl(blocking, F_GETFD) == -1);  // closed, as documented
    CHECK(error_of(TcpStream::from_fd(-1)) == std::errc::bad_file_descriptor);
    CHECK(again.into_fd() == fd);
    CHECK(again.into_fd() == -1);
    ::close(fd);
  });
}

TEST_CASE("A stream that is not open returns bad_file_descriptor") {
  in_runtime(1, [] {
    TcpStream none;
    std::array<std::byte, 1> byte;
    const auto bad = std::errc::bad_file_descriptor;
    CHECK(error_of(none.read(byte)) == bad);
    CHECK(error_of(none.read_vectored({})) == bad);
    CHECK(error_of(none.peek(byte)) == bad);
    CHECK(error_of(none.write(byte)) == bad);
    CHECK(error_of(none.write_vectored({})) == bad);
    CHECK(error_of(none.readable()) == bad);
    CHECK(error_of(none.writable()) == bad);
    CHECK(error_of(none.shutdown(Shutdown::both)) == bad);
    CHECK(error_of(none.local_addr()) == bad);
    CHECK(error_of(none.peer_addr()) == bad);
    CHECK(error_of(none.set_nodelay(true)) == bad);
    CHECK(none.take_error() == bad);
  });
}

TEST_CASE("Moving a stream moves its registration and closes the target's connection") {
  in_runtime(2, [] {
    RawPair first = raw_pair();
    RawPair second = raw_pair();
    first.stream = std::move(second.stream);
    CHECK(first.peer.receive(1).empty());
    auto reader = ramie::spawn([&] { return read_some(first.stream, 10); });
    REQUIRE(until_parked(WaitKind::readable, 1));
    REQUIRE(second.peer.send("abc"));
    CHECK(*reader.join() == "abc");
    auto& self = first.stream;
    first.stream = std::move(self);
    CHECK(first.stream.is_open());
  });
}
