// Tests TcpListener: binding, and accepting under all conditions.
#include "tests/support/fault.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::net::ListenOptions;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;
using ramie::sched::WaitKind;

TcpListener listen_somewhere() { return ramie::or_throw(TcpListener::bind("127.0.0.1:0")); }

}  // namespace

TEST_CASE("bind: an address in use, one of another host and an invalid one return their errors") {
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    const auto address = *listener.local_addr();
    CHECK(error_of(TcpListener::bind(address)) == std::errc::address_in_use);
    CHECK(error_of(TcpListener::bind("192.0.2.1:0")) == std::errc::address_not_available);
    for (const char* bad : {"", "7000", "localhost", "127.0.0.1", "[::1]"})
      CHECK(error_of(TcpListener::bind(bad)) == errc::missing_port);
    CHECK(error_of(TcpListener::bind("127.0.0.1:65536")) == errc::invalid_port);
    for (const char* bad : {"256.0.0.1:0", "::1:80", "[*]:80"})
      CHECK(error_of(TcpListener::bind(bad)) == errc::invalid_address);
    CHECK(error_of(TcpListener::bind(address)) == std::errc::address_in_use);
    listener = TcpListener();
    CHECK(TcpListener::bind(address).has_value());  // the port is free again at once
  });
}

TEST_CASE("bind: a port alone means every address of both families") {
  in_runtime(2, [] {
    for (const char* any : {":0", "*:0"}) {
      auto listener = ramie::or_throw(TcpListener::bind(any));
      const std::string port = std::to_string(listener.local_addr()->port());
      CHECK(TcpStream::connect("127.0.0.1:" + port).has_value());
      if (listener.local_addr()->is_ipv6() && has_ipv6())
        CHECK(TcpStream::connect("[::1]:" + port).has_value());
      CHECK(error_of(TcpListener::bind(":" + port)) == std::errc::address_in_use);
    }
    // Without IPv6 the socket is an IPv4 one.
    const Fault fault({.calls = {"socket"}, .error = EAFNOSUPPORT});
    CHECK(TcpListener::bind(":0")->local_addr()->to_string().starts_with("0.0.0.0:"));
    CHECK(fault.hits() == 1);
  });
}

TEST_CASE("bind: a name is looked up; it tries IPv4 first, then the next address") {
  in_runtime(2, [] {
    auto listener = ramie::or_throw(TcpListener::bind("both.test:0"));
    const auto address = *listener.local_addr();
    CHECK(TcpStream::connect(address).has_value());
    CHECK(TcpStream::connect("both.test:" + std::to_string(address.port())).has_value());
    const auto found = ramie::net::lookup_host("both.test:0");
    bool has_ipv4 = false;
    for (const SocketAddr& one : *found) has_ipv4 = has_ipv4 || !one.is_ipv6();
    CHECK(address.is_ipv6() != has_ipv4);
    const Fault fault({.calls = {"bind"}, .error = EADDRNOTAVAIL, .times = Fault::kAlways});
    CHECK(error_of(TcpListener::bind("both.test:0")) == std::errc::address_not_available);
    CHECK(fault.hits() == found->size());
    CHECK(error_of(TcpListener::bind("none.test:0")) == errc::host_not_found);
  });
}

TEST_CASE("bind: the error of each system call is returned, and nothing leaks") {
  in_runtime(1, [] {
    for (const char* call : {"socket", "setsockopt", "bind", "listen", "epoll_ctl"}) {
      CAPTURE(call);
      const std::size_t before = open_descriptors();
      const Fault fault({.calls = {call}, .error = EACCES});
      CHECK(error_of(TcpListener::bind("127.0.0.1:0")) == std::errc::permission_denied);
      CHECK(fault.hits() == 1);
      CHECK(open_descriptors() == before);
    }
  });
}

TEST_CASE("bind: several listeners share a port only if all asked for it") {
  in_runtime(1, [] {
    ListenOptions shared;
    shared.reuse_port = true;
    auto first = ramie::or_throw(TcpListener::bind("127.0.0.1:0", shared));
    const auto address = *first.local_addr();
    CHECK(TcpListener::bind(address, shared).has_value());
    CHECK(error_of(TcpListener::bind(address)) == std::errc::address_in_use);
  });
}

TEST_CASE("bind: IPv6 only leaves the port's IPv4 side free") {
  in_runtime(1, [] {
    ListenOptions options;
    options.only_ipv6 = true;
    auto six = ramie::or_throw(TcpListener::bind("[::]:0", options));
    auto four = *SocketAddr::parse("0.0.0.0:0");
    four.set_port(six.local_addr()->port());
    CHECK(TcpListener::bind(four).has_value());
  });
}

TEST_CASE("accept: many pending connections are all accepted, each once") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr std::size_t kClients = 500;
      auto listener = listen_somewhere();
      const auto address = *listener.local_addr();
      std::vector<RawSocket> clients;
      for (std::size_t i = 0; i < kClients; ++i) clients.push_back(RawSocket::connect(address));
      // The root fiber gets one edge for all of them.
      for (std::size_t i = 0; i < kClients; ++i) {
        auto accepted = listener.accept();
        REQUIRE(accepted.has_value());
        CHECK(*accepted->stream.peer_addr() == accepted->peer);
        REQUIRE(accepted->stream.write_all(bytes("ok")).has_value());
      }
      std::size_t served = 0;
      for (RawSocket& client : clients) served += client.receive(2) == "ok" ? 1U : 0U;
      CHECK(served == kClients);
      CHECK(error_of(ramie::timeout(2ms, [&] { return listener.accept(); })) == errc::timed_out);
    });
  }
}

TEST_CASE("accept: any number of fibers may accept, and no connection is left") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      auto listener = listen_somewhere();
      const auto address = *listener.local_addr();
      std::atomic<int> accepted{0};
      std::vector<ramie::JoinHandle<void>> fibers;
      for (int i = 0; i < 40; ++i)
        fibers.push_back(ramie::spawn([&] {
          while (listener.accept()) ++accepted;
        }));
      REQUIRE(until_parked(WaitKind::accept, 40));
      std::vector<RawSocket> clients;
      for (int i = 0; i < 200; ++i) clients.push_back(RawSocket::connect(address));
      CHECK(eventually([&] { return accepted == 200; }));
      for (auto& fiber : fibers) fiber.cancel();
      for (auto& fiber : fibers) CHECK(fiber.join().has_value());
    });
  }
}

TEST_CASE("accept: cancels and deadlines lose no connection") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr int kClients = 300;
      auto listener = listen_somewhere();
      const auto address = *listener.local_addr();
      auto clients = ramie::spawn_blocking([address] {
        int answered = 0;
        for (int i = 0; i < kClients; ++i) {
          RawSocket client = RawSocket::connect(address);
          answered += client.receive(2) == "ok" ? 1 : 0;
        }
        return answered;
      });
      int accepted = 0;
      int refused = 0;
      for (int i = 0; accepted < kClients; ++i) {
        auto one = ramie::timeout(std::chrono::microseconds(i % 7 * 20),
                                  [&] { return listener.accept(); });
        if (!one) {
          REQUIRE(error_of(one) == errc::timed_out);
          ++refused;
          continue;
        }
        ++accepted;
        REQUIRE(one->stream.write_all(bytes("ok")).has_value());
      }
      CHECK(*clients.join() == kClients);
      CHECK(refused > 0);
    });
  }
}

TEST_CASE("accept: broken connections and signals are skipped") {
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    const auto address = *listener.local_addr();
    for (const int error : {ECONNABORTED, EPROTO, EPERM, EINTR, ENETDOWN, EHOSTUNREACH}) {
      CAPTURE(error);
      RawSocket client = RawSocket::connect(address);
      const Fault fault({.calls = {"accept4"}, .error = error, .times = 300});
      CHECK(listener.accept().has_value());
      CHECK(fault.hits() == 300);
    }
    RawSocket client = RawSocket::connect(address);
    const Fault fault({.calls = {"accept4"}, .error = ENOTSOCK});
    CHECK(error_of(listener.accept()) == std::errc::not_a_socket);
    CHECK(listener.accept().has_value());
  });
}

TEST_CASE("accept: without memory it pauses, longer each time, and recovers") {
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    RawSocket client = RawSocket::connect(*listener.local_addr());
    for (const int error : {ENOBUFS, ENOMEM}) {
      const Fault fault({.calls = {"accept4"}, .error = error, .times = 4});
      const auto begin = std::chrono::steady_clock::now();
      CHECK(listener.accept().has_value());
      CHECK(std::chrono::steady_clock::now() - begin >= 75ms);  // 5 + 10 + 20 + 40
      client = RawSocket::connect(*listener.local_addr());
    }
    const Fault fault({.calls = {"accept4"}, .error = ENOBUFS, .times = Fault::kAlways});
    CHECK(error_of(ramie::timeout(50ms, [&] { return listener.accept(); })) == errc::timed_out);
    CHECK(fault.hits() <= 5);
  });
}

TEST_CASE("accept: a connection that cannot be registered is closed, and the listener goes on") {
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    for (const int error : {ENOMEM, ENOSPC}) {  // ENOSPC: the user's limit of epoll watches
      RawSocket first = RawSocket::connect(*listener.local_addr());
      RawSocket second = RawSocket::connect(*listener.local_addr());
      const std::size_t before = open_descriptors();
      const Fault fault({.calls = {"epoll_ctl"}, .error = error});
      auto accepted = listener.accept();
      REQUIRE(accepted.has_value());
      CHECK(fault.hits() == 1);
      CHECK(open_descriptors() == before + 1);
      CHECK(first.receive(1).empty());
      REQUIRE(accepted->stream.write_all(bytes("ok")).has_value());
      CHECK(second.receive(2) == "ok");
    }
  });
}

TEST_CASE("A listener that is not open returns bad_file_descriptor") {
  in_runtime(1, [] {
    TcpListener none;
    CHECK(error_of(none.accept()) == std::errc::bad_file_descriptor);
    CHECK(error_of(none.local_addr()) == std::errc::bad_file_descriptor);
    auto listener = listen_somewhere();
    none = std::move(listener);
    CHECK(error_of(listener.accept()) == std::errc::bad_file_descriptor);
    RawSocket client = RawSocket::connect(*none.local_addr());
    CHECK(none.accept().has_value());
  });
}
