// Goal: HUP and ERR are hints, and only the call decides what is final. A hint that passes makes no
// waiter spin, and no end is lost. Method: descriptors that report a hint and stay usable; the test
// counts calls.
#include "tests/support/eventually.hpp"
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/interest.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/io.hpp>

#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::Result;
using ramie::io::Interest;
using ramie::io::Registration;

using ramie_test::kBoth;
constexpr unsigned kFew = 40;  // a spin makes hundreds of thousands

// Owns a descriptor and its registration.
struct Watched {
  Watched(int number, Interest interest)
      : fd(number), registration(ramie::or_throw(Registration::create(number, interest))) {}
  ~Watched() {
    (void)registration.deregister();
    ::close(fd);
  }
  // Calls read() or recv() until the result is not EAGAIN. Returns a count or -errno.
  int read_one() {
    const auto got = registration.io(Interest::readable, [&]() -> Result<int> {
      ++calls;
      std::array<char, 64> buffer;
      const ssize_t n = ::read(fd, buffer.data(), buffer.size());
      if (n < 0) return ramie::failure({errno, std::system_category()});
      return static_cast<int>(n);
    });
    if (got) return *got;
    return got.error() == errc::timed_out ? kSilent : -got.error().value();
  }
  // Returns the result if the read ends soon, or kSilent if it waits.
  int read_soon() {
    int said = 0;
    (void)ramie::timeout(100ms, [&] { said = read_one(); });
    return said;
  }
  static constexpr int kSilent = -1000;

  int fd;
  Registration registration;
  unsigned calls = 0;
};

constexpr const char* kNoErrorQueue = "this kernel has no such error queue";

enum class Source { timestamps, zero_copy };

// Puts an entry into the error queue of `fd`, and takes it out again if `is_emptied`. Returns false
// if this kernel does not support it.
bool raise_error_queue(int fd, Source source, bool is_emptied) {
  const int on =
      source == Source::zero_copy
          ? 1
          : SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
  const int option = source == Source::zero_copy ? SO_ZEROCOPY : SO_TIMESTAMPING;
  if (::setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) != 0) return false;
  // ENOBUFS while other processes of this user have locked all that the limit allows.
  REQUIRE(ramie_test::comes_true(
      [&] { return ::send(fd, "x", 1, source == Source::zero_copy ? MSG_ZEROCOPY : 0) == 1; }));
  pollfd one{fd, 0, 0};
  REQUIRE(::poll(&one, 1, 10'000) == 1);
  (void)ramie::sleep_for(5ms);  // time for the driver to see it
  std::array<char, 512> control;
  while (is_emptied) {
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(fd, &message, MSG_ERRQUEUE) < 0) break;
  }
  return true;
}

}  // namespace

TEST_CASE("An event of the error queue ends no stream: a writer to a slow peer waits") {
  for (const auto source : {Source::timestamps, Source::zero_copy}) {
    for (const bool is_emptied : {true, false}) {
      CAPTURE(static_cast<int>(source), is_emptied);
      in_runtime(2, [&] {
        auto [near, far] = tcp_pair();
        if (!raise_error_queue(near.fd(), source, is_emptied)) RAMIE_SKIP(kNoErrorQueue);
        const std::vector<std::byte> much(64U << 20U);
        const Fault counted({.calls = {"send"}, .times = 0});
        const auto said = ramie::timeout(200ms, [&] { return near.write_all(much); });
        CHECK(error_of(said) == errc::timed_out);
        CHECK(counted.calls() < 1000);  // the successful ones each moved something
        // The second one finds a full buffer and must wait.
        const unsigned before = counted.calls();
        CHECK(error_of(ramie::timeout(100ms, [&] { return near.write_all(much); })) ==
              errc::timed_out);
        CHECK(counted.calls() - before < kFew);
      });
    }
  }
}

TEST_CASE("An event of the error queue ends no stream: its reader waits and reads what arrives") {
  for (const auto source : {Source::timestamps, Source::zero_copy}) {
    in_runtime(2, [&] {
      RawPair pair = raw_pair();
      if (!raise_error_queue(pair.stream.fd(), source, false)) RAMIE_SKIP(kNoErrorQueue);
      const Fault counted({.calls = {"recv"}, .times = 0});
      std::array<std::byte, 16> buffer;
      CHECK(error_of(ramie::timeout(100ms, [&] { return pair.stream.read(buffer); })) ==
            errc::timed_out);
      CHECK(error_of(ramie::timeout(100ms, [&] {
              for (;;) {
                auto waited = pair.stream.readable();
                if (!waited) return waited;
                std::array<char, 16> own;
                (void)::recv(pair.stream.fd(), own.data(), own.size(), MSG_DONTWAIT);
              }
            })) == errc::timed_out);
      CHECK(counted.calls() < kFew);
      auto reading = ramie::spawn([&] { return pair.stream.read(buffer); });
      REQUIRE(pair.peer.send("hello"));
      CHECK(reading.join().value_or(0) == 5);
      CHECK(pair.peer.receive(1) == "x");  // otherwise its close would be a reset
      pair.peer.close();
      CHECK(pair.stream.readable().has_value());
      CHECK(pair.stream.read(buffer).value_or(1) == 0);
      CHECK(pair.stream.readable().has_value());  // the end stays
    });
  }
}

TEST_CASE("An error without data wakes a reader: a UDP peer that refuses") {
  in_runtime(2, [] {
    const int probe = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in nobody{};
    nobody.sin_family = AF_INET;
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* raw = reinterpret_cast<sockaddr*>(&nobody);
    REQUIRE(::bind(probe, raw, sizeof nobody) == 0);
    socklen_t size = sizeof nobody;
    REQUIRE(::getsockname(probe, raw, &size) == 0);
    ::close(probe);
    Watched udp(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kBoth);
    REQUIRE(::connect(udp.fd, raw, sizeof nobody) == 0);
    CHECK(udp.read_soon() == Watched::kSilent);
    for (int i = 0; i < 2; ++i) {
      auto reading = ramie::spawn([&] { return udp.read_one(); });
      REQUIRE(until_parked(ramie::sched::WaitKind::io, 1));
      REQUIRE(::send(udp.fd, "x", 1, 0) == 1);
      CHECK(*reading.join() == -ECONNREFUSED);
      CHECK(udp.read_soon() == Watched::kSilent);
    }
    // readiness() reports the error once, whether or not the call is made, and reports the next
    // one.
    for (int i = 0; i < 2; ++i) {
      REQUIRE(::send(udp.fd, "x", 1, 0) == 1);
      CHECK(udp.registration.readiness(Interest::readable)->is_readable());
      CHECK(error_of(ramie::timeout(20ms, [&] {
              return udp.registration.readiness(Interest::readable);
            })) == errc::timed_out);
      std::array<char, 8> buffer;
      CHECK(::recv(udp.fd, buffer.data(), buffer.size(), 0) == -1);
    }
    CHECK(udp.calls < kFew);
  });
}

TEST_CASE("The HUP of a socket that is not connected yet passes") {
  in_runtime(2, [] {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    Watched early(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kBoth);
    CHECK(early.registration.readiness(Interest::readable)->is_read_closed());
    REQUIRE(::connect(early.fd, static_cast<const sockaddr*>(address.raw()),
                      static_cast<socklen_t>(address.raw_size())) <= 0);
    auto accepted = ramie::or_throw(listener.accept());
    CHECK(early.read_soon() == Watched::kSilent);
    CHECK(early.calls < kFew);
    REQUIRE(accepted.stream.write_all(bytes("hello")).has_value());
    CHECK(early.read_one() == 5);
    CHECK(early.read_soon() == Watched::kSilent);
    // The real end arrives, also at a fiber that was waiting.
    auto reading = ramie::spawn([&] { return early.read_one(); });
    REQUIRE(until_parked(ramie::sched::WaitKind::io, 1));
    accepted.stream = ramie::net::TcpStream();
    CHECK(*reading.join() == 0);
    CHECK(early.registration.readiness(Interest::readable)->is_read_closed());
    CHECK(early.calls < kFew);
  });
}

TEST_CASE("The HUP of a FIFO passes when the next writer opens it") {
  std::string folder = (std::filesystem::temp_directory_path() / "ramie-fifo-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string name = folder + "/fifo";
  REQUIRE(::mkfifo(name.c_str(), 0600) == 0);
  in_runtime(2, [&] {
    const auto open_writer = [&] { return ::open(name.c_str(), O_WRONLY | O_CLOEXEC); };
    Watched reader(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), Interest::readable);
    for (int i = 0; i < 3; ++i) {
      const int writer = open_writer();
      REQUIRE(writer >= 0);
      CHECK(reader.read_soon() == Watched::kSilent);
      REQUIRE(::write(writer, "abc", 3) == 3);
      CHECK(reader.read_one() == 3);
      auto reading = ramie::spawn([&] { return reader.read_one(); });
      REQUIRE(until_parked(ramie::sched::WaitKind::io, 1));
      ::close(writer);
      CHECK(*reading.join() == 0);
      CHECK(reader.registration.readiness(Interest::readable)->is_read_closed());
    }
    CHECK(reader.calls < kFew);
  });
  std::filesystem::remove_all(folder);
}

TEST_CASE("The ERR of a FIFO without a reader passes when the next reader opens it") {
  std::string folder = (std::filesystem::temp_directory_path() / "ramie-fifo-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string name = folder + "/fifo";
  REQUIRE(::mkfifo(name.c_str(), 0600) == 0);
  in_runtime(2, [&] {
    const auto open_reader = [&] {
      return ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    };
    int reader = open_reader();
    Watched writer(::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC), Interest::writable);
    unsigned calls = 0;
    const auto fill = [&] {  // until a write fails
      return writer.registration.io(Interest::writable, [&]() -> Result<int> {
        ++calls;
        const std::array<char, 65536> block{};
        while (::write(writer.fd, block.data(), block.size()) > 0) {
        }
        return ramie::failure({errno, std::system_category()});
      });
    };
    for (int i = 0; i < 3; ++i) {
      CHECK(error_of(ramie::timeout(50ms, fill)) == errc::timed_out);
      ::close(reader);
      CHECK(writer.registration.readiness(Interest::writable)->is_writable());
      reader = open_reader();
    }
    CHECK(calls < kFew);
    ::close(reader);
  });
  std::filesystem::remove_all(folder);
}

TEST_CASE("The HUP of a terminal passes when it is opened again") {
  in_runtime(2, [] {
    int master = -1, slave = -1;
    std::array<char, 128> name{};
    if (::openpty(&master, &slave, name.data(), nullptr, nullptr) != 0)
      RAMIE_SKIP("needs pseudo-terminals");
    ::fcntl(master, F_SETFD, FD_CLOEXEC);
    REQUIRE(::fcntl(master, F_SETFL, O_NONBLOCK) == 0);
    Watched watched(master, kBoth);
    for (int i = 0; i < 3; ++i) {
      CHECK(watched.read_soon() == Watched::kSilent);
      auto reading = ramie::spawn([&] { return watched.read_one(); });
      REQUIRE(until_parked(ramie::sched::WaitKind::io, 1));
      ::close(slave);
      CHECK(*reading.join() == -EIO);
      CHECK(watched.registration.readiness(Interest::readable)->is_read_closed());
      slave = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
      REQUIRE(slave >= 0);
    }
    CHECK(watched.calls < kFew);
    ::close(slave);
  });
}

TEST_CASE("A listening socket that was shut down and listens again accepts again") {
  in_runtime(2, [] {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    const Fault counted({.calls = {"accept4"}, .times = 0});
    auto waiting = ramie::spawn([&] { return listener.accept().error(); });
    REQUIRE(until_parked(ramie::sched::WaitKind::accept, 1));
    REQUIRE(::shutdown(listener.fd(), SHUT_RD) == 0);
    CHECK(*waiting.join() == std::errc::invalid_argument);
    REQUIRE(::listen(listener.fd(), 8) == 0);
    CHECK(error_of(ramie::timeout(50ms, [&] { return listener.accept(); })) == errc::timed_out);
    CHECK(counted.calls() < kFew);
    auto accepting = ramie::spawn([&] { return listener.accept().has_value(); });
    // The kernel may have assigned another port, because it gave the old one back.
    auto stream = ramie::net::TcpStream::connect(*listener.local_addr());
    CHECK(stream.has_value());
    CHECK(*accepting.join());
  });
}

TEST_CASE("A half-closed stream stays writable for a waiting writer, and its full end arrives") {
  in_runtime(2, [] {
    RawPair pair = raw_pair();
    pair.peer.half_close();
    std::array<std::byte, 16> buffer;
    CHECK(pair.stream.read(buffer).value_or(1) == 0);
    for (int i = 0; i < 3; ++i) CHECK(pair.stream.readable().has_value());
    CHECK(pair.stream.writable().has_value());
    const Fault counted({.calls = {"send"}, .times = 0});
    const std::vector<std::byte> much(16U << 20U);
    auto writing = ramie::spawn([&] { return error_of(pair.stream.write_all(much)); });
    REQUIRE(until_parked(ramie::sched::WaitKind::writable, 1));
    pair.peer.reset();
    CHECK(*writing.join() == std::errc::broken_pipe);  // a reset after the end
    CHECK(pair.stream.writable().has_value());
    CHECK(counted.calls() < 1000);
  });
}
