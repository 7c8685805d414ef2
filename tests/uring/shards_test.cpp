// Tests several epolls, and workers that sleep in their rings: every socket is served.
#include "tests/support/in_runtime.hpp"
#include "tests/uring/support.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

namespace {

constexpr std::size_t kClients = 4;

// An operation that stays in the ring of this fiber's worker until the eventfd is written.
void wait_in_ring(int bell) {
  (void)ramie::uring::submit([&](ramie::uring::Entry& entry) {
    entry.opcode = IORING_OP_POLL_ADD;
    entry.fd = bell;
    entry.operation_flags = POLLIN;
  });
}

void ring(int bell) {
  const std::uint64_t one = 1;
  if (::write(bell, &one, sizeof one) < 0) std::abort();
}

// A plain socket; a read fails after ten seconds.
int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  const timeval limit{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

bool is_echoed(int fd) {
  char byte = 'x';
  return ::write(fd, &byte, 1) == 1 && ::read(fd, &byte, 1) == 1;
}

void echo(TcpStream stream) {
  std::array<std::byte, 8> buffer{};
  for (;;) {
    const auto n = stream.read(buffer);
    if (!n || *n == 0) return;
    if (!stream.write_all(std::span(buffer).first(*n))) return;
  }
}

template <class F>
void in_shards(std::size_t shards, std::size_t workers, F&& function) {
  auto builder = ramie_test::quiet_builder(workers);
  builder.io_shards(shards).io(ramie::runtime::IoBackend::automatic);  // sockets belong to a shard
  ramie_test::in_runtime_of(std::move(builder), std::forward<F>(function));
}

}  // namespace

TEST_CASE("U7 a worker asleep in its ring polls the shard whose baton it holds", "[uring]") {
  for (const std::size_t workers : {3U, 4U}) {
    in_shards(2, workers, [&] {
      std::atomic<bool> stop{false};
      std::vector<int> bells;
      ramie::Scope scope;
      for (std::size_t i = 0; i < workers; ++i) {
        bells.push_back(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        (void)scope.spawn({.pinned = true}, [&stop, bell = bells.back()] {
          std::uint64_t count = 0;
          while (!stop) {
            wait_in_ring(bell);
            if (::read(bell, &count, sizeof count) < 0) continue;
          }
        });
      }
      auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
      const std::uint16_t port = ramie::or_throw(listener.local_addr()).port();
      int lost = 0;
      std::thread client([&] {
        std::array<int, kClients> sockets{};
        for (int& fd : sockets) fd = connect_to(port);
        std::mt19937 random(7);
        for (int i = 0; i < 40; ++i) {
          for (unsigned k = 0; k <= random() % 3; ++k) ring(bells[random() % bells.size()]);
          std::this_thread::sleep_for(15ms);
          if (!is_echoed(sockets[random() % kClients])) ++lost;
        }
        for (const int fd : sockets) ::close(fd);
        stop = true;
        for (const int bell : bells) ring(bell);
      });
      for (std::size_t i = 0; i < kClients; ++i)
        (void)scope.spawn(echo, std::move(ramie::or_throw(listener.accept()).stream));
      CHECK(scope.join().has_value());
      client.join();
      CHECK(lost == 0);
      for (const int bell : bells) ::close(bell);
    });
  }
}

TEST_CASE("P4 a worker asleep in its ring serves shards that nobody drives", "[uring]") {
  in_shards(2, 2, [] {
    std::atomic<bool> stop{false};
    std::atomic<bool> computes{false};
    const int bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ramie::Scope scope;
    for (int i = 0; i < 2; ++i) (void)scope.spawn({.pinned = true}, [&] { wait_in_ring(bell); });
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const std::uint16_t port = ramie::or_throw(listener.local_addr()).port();
    int unheard = 0;
    std::thread client([&] {
      std::array<int, kClients> sockets{};
      for (int& fd : sockets) fd = connect_to(port);
      while (!computes) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(200ms);
      for (const int fd : sockets) unheard += is_echoed(fd) ? 0 : 1;
      stop = true;
      ring(bell);
      for (const int fd : sockets) ::close(fd);
    });
    for (std::size_t i = 0; i < kClients; ++i)
      (void)scope.spawn(echo, std::move(ramie::or_throw(listener.accept()).stream));
    (void)ramie::sleep_for(20ms);
    (void)scope.spawn([&] {
      computes = true;
      while (!stop) {
      }
    });
    CHECK(scope.join().has_value());
    client.join();
    CHECK(unheard == 0);
    ::close(bell);
  });
}
