// Tests sends without a copy, by io_uring where the kernel supports it.
#include "tests/support/builder.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

using namespace std::chrono_literals;
using ramie::errc;
using ramie::net::TcpStream;

TEST_CASE("Zero-copy send: all bytes arrive, and the memory is free when it returns", "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie_test::make_runtime(2);
  runtime.block_on([] {
    ramie_test::TcpPair ends = ramie_test::tcp_pair();
    constexpr std::size_t kSize = std::size_t{4} << 20U;
    auto reader = ramie::spawn([&] {
      std::vector<std::byte> all(kSize);
      if (!ends.far.read_exact(all)) return false;
      for (std::size_t i = 0; i < kSize; ++i)
        if (all[i] != static_cast<std::byte>(i / 4096)) return false;
      return true;
    });
    std::vector<std::byte> block(256U << 10U);
    std::size_t sent = 0;
    while (sent < kSize) {
      const std::size_t part = std::min(block.size(), kSize - sent);
      for (std::size_t i = 0; i < part; ++i) block[i] = static_cast<std::byte>((sent + i) / 4096);
      const auto n = ramie::net::send_zero_copy(ends.near, std::span(block).first(part));
      REQUIRE(n.has_value());
      std::fill(block.begin(), block.end(), std::byte{0xff});  // the kernel no longer uses it
      sent += *n;
    }
    CHECK(*reader.join());
    CHECK(*ramie::net::send_zero_copy(ends.near, ramie_test::bytes("small")) == 5);
  });
}

TEST_CASE("Zero-copy send: a peer that reads nothing cannot delay a cancelled send", "[uring]") {
  const ramie_test::Watchdog watchdog(60s);
  auto runtime = ramie_test::make_runtime(1);
  runtime.block_on([] {
    ramie_test::TcpPair ends = ramie_test::tcp_pair();
    const std::vector<std::byte> block(1U << 20U);
    std::error_code end;
    for (int i = 0; i < 1000 && !end; ++i) {
      const auto n =
          ramie::timeout(20ms, [&] { return ramie::net::send_zero_copy(ends.near, block); });
      if (!n) end = n.error();
    }
    // A reset freed the memory, or nothing had been taken.
    CAPTURE(end.message());
    CHECK((end == errc::timed_out || end == std::errc::broken_pipe ||
           end == std::errc::not_connected || end == std::errc::connection_reset));
    TcpStream closed;
    const auto none = ramie::net::send_zero_copy(closed, block);
    CHECK((!none && none.error() == std::errc::bad_file_descriptor));
  });
}
