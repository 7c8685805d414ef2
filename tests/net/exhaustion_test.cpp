// Tests a process without descriptors: a child with a limit of 64 gets 1,000 connections. It tries
// rarely, prints a line once a second, closes some connections, and serves again when descriptors
// are free.
#include "tests/support/child.hpp"
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/text.hpp"

#include <ramie/cancel.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

constexpr std::size_t kConnections = 1000;
constexpr auto kShortage = 3s;

enum Outcome : int { kGood = 0, kNoListener = 10, kTooEager = 11, kAcceptFailed = 12, kFew = 13 };

// Runs in the child. Holds every connection until the shortage is over, then answers all clients.
int serve_with_few_descriptors(int to_parent) {
  const rlimit few{64, 64};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return kNoListener;
  const auto runtime = make_runtime(1);
  return runtime.block_on([to_parent]() -> int {
    auto listener = TcpListener::bind("127.0.0.1:0");
    if (!listener) return kNoListener;
    const std::uint16_t port = listener->local_addr()->port();
    if (::write(to_parent, &port, sizeof port) != sizeof port) return kNoListener;
    std::vector<TcpStream> held;
    const Fault counter({.calls = {"accept4"}, .times = 0});
    const auto ended = ramie::timeout(kShortage, [&]() -> ramie::Result<void> {
      for (;;) {
        auto accepted = listener->accept();
        if (!accepted) return ramie::failure(accepted.error());
        held.push_back(std::move(accepted->stream));
      }
    });
    if (error_of(ended) != ramie::errc::timed_out) return kAcceptFailed;
    if (held.size() < 30) return kFew;
    const std::size_t in_vain = counter.calls() - held.size();
    (void)std::fprintf(stderr, "%zu failed accepts\n", in_vain);
    if (in_vain > 100) return kTooEager;
    held.clear();
    for (;;) {
      auto accepted = ramie::timeout(3s, [&] { return listener->accept(); });
      if (!accepted) return kGood;
      (void)accepted->stream.write_all(bytes("ok"));
    }
  });
}

struct Child {
  pid_t pid = -1;
  int port_pipe = -1;
  int stderr_pipe = -1;
};

Child start_child() {
  std::array<int, 2> port{};
  std::array<int, 2> errors{};
  REQUIRE(::pipe(port.data()) == 0);
  REQUIRE(::pipe(errors.data()) == 0);
  const pid_t pid = ramie_test::fork_to([&] {
    (void)::dup2(errors[1], STDERR_FILENO);
    for (const int fd : {port[0], errors[0], errors[1]}) ::close(fd);
    ::_exit(serve_with_few_descriptors(port[1]));
  });
  ::close(port[1]);
  ::close(errors[1]);
  return {pid, port[0], errors[0]};
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(fd);
  return text;
}

}  // namespace

TEST_CASE("A process without descriptors accepts rarely, and recovers") {
  const Watchdog watchdog(std::chrono::seconds(60));
  if (!raise_descriptor_limit(kConnections + 100)) RAMIE_SKIP("needs 1,100 descriptors");
  const Child child = start_child();
  std::uint16_t port = 0;
  REQUIRE(::read(child.port_pipe, &port, sizeof port) == sizeof port);
  ::close(child.port_pipe);
  const auto begin = std::chrono::steady_clock::now();  // at most a little late
  auto address = *SocketAddr::parse("127.0.0.1:0");
  address.set_port(port);
  {
    std::vector<RawSocket> clients;
    for (std::size_t i = 0; i < kConnections; ++i) clients.push_back(RawSocket::connect(address));
    std::this_thread::sleep_until(begin + kShortage + 200ms);
    RawSocket latecomer = RawSocket::connect(address);
    CHECK(latecomer.receive(2) == "ok");
    std::size_t closed = 0;
    std::size_t answered = 0;
    for (RawSocket& client : clients) {
      const std::string got = client.receive(2);
      if (got == "ok") ++answered;
      else ++closed;
    }
    CHECK(answered > kConnections / 2);
    CHECK(closed + answered == kConnections);
  }
  const std::string said = read_all(child.stderr_pipe);
  INFO(said);
  int status = 0;
  REQUIRE(::waitpid(child.pid, &status, 0) == child.pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == kGood);
  CHECK(count(said, "accept: Too many open files") >= 2);
  CHECK(count(said, "accept: Too many open files") <= 5);
}
