// Tests addresses: which texts are valid, and how they are printed.
#include <ramie/net.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <string_view>

namespace {

using ramie::errc;
using ramie::net::lookup_host;
using ramie::net::SocketAddr;
using namespace std::string_view_literals;

}  // namespace

TEST_CASE("SocketAddr: text becomes an address, and the address becomes that text") {
  struct Case {
    std::string_view in, out;
    std::uint16_t port;
    bool is_ipv6;
  };
  const Case cases[] = {
      {"127.0.0.1:80", "127.0.0.1:80", 80, false},
      {"0.0.0.0:0", "0.0.0.0:0", 0, false},
      {"255.255.255.255:65535", "255.255.255.255:65535", 65535, false},
      {"10.1.2.3:00080", "10.1.2.3:80", 80, false},
      {"[::1]:8080", "[::1]:8080", 8080, true},
      {"[::]:0", "[::]:0", 0, true},
      {"[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1", 1, true},
      {"[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5", 5, true},
      {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:6",
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:6", 6, true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.in);
    const auto address = SocketAddr::parse(one.in);
    REQUIRE(address.has_value());
    CHECK(address->to_string() == one.out);
    CHECK(address->port() == one.port);
    CHECK(address->is_ipv6() == one.is_ipv6);
    CHECK(*SocketAddr::parse(address->to_string()) == *address);
  }
}

TEST_CASE("SocketAddr: garbage is invalid_argument") {
  const std::string_view cases[] = {
      "",
      ":",
      ":80",
      "80",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1: 80",
      "127.0.0.1:80 ",
      " 127.0.0.1:80",
      "127.0.0.1:-1",
      "127.0.0.1:+80",
      "127.0.0.1:65536",
      "127.0.0.1:99999999999",
      "127.0.0.1:0x50",
      "127.0.0.1:http",
      "127.0.0.1:80:90",
      "127.0.0:80",
      "127.0.0.1.1:80",
      "256.0.0.1:80",
      "1.2.3.04:80",
      "localhost:80",
      "::1:80",
      "[::1]",
      "[::1]:",
      "[::1:80",
      "::1]:80",
      "[]:80",
      "[127.0.0.1]:80",
      "[::1%]:80",
      "[%lo]:80",
      "[::1%lo",
      "127.0.0.1%lo:80",
      "[127.0.0.1%lo]:80",
      "fe80::1%lo:80",
      "[::g]:80",
      "[:::]:80",
      "[[::1]]:80",
      "127.0.0.1\0:80"sv,
      "127.0.0.1\0.example.org:80"sv,
      "[::1\0]:80"sv,
      "127.0.0.1:80\0"sv,
      "127.0.0.1:8\0000"sv,
      "\0:80"sv,
      "\xff\xfe:80",
      "1111111111111111111111111111111111111111111111111111111111111111:80",
      "[1111:1111:1111:1111:1111:1111:1111:1111:1111]:80",
  };
  for (const std::string_view one : cases) {
    CAPTURE(std::string(one));
    const auto address = SocketAddr::parse(one);
    REQUIRE_FALSE(address.has_value());
    if (address.error() == errc::unknown_interface) continue;  // an empty scope
    CHECK(address.error() == std::errc::invalid_argument);
  }
}

TEST_CASE("SocketAddr: an IPv6 scope is parsed by name or number, and printed") {
  const std::uint32_t loopback = ::if_nametoindex("lo");
  REQUIRE(loopback != 0);
  const std::string scoped = "[fe80::1%" + std::to_string(loopback) + "]:80";
  const auto by_name = SocketAddr::parse("[fe80::1%lo]:80");
  REQUIRE(by_name.has_value());
  CHECK(by_name->to_string() == scoped);
  CHECK(*SocketAddr::parse(scoped) == *by_name);
  CHECK_FALSE(*SocketAddr::parse("[fe80::1]:80") == *by_name);
  sockaddr_in6 raw{};
  std::memcpy(&raw, by_name->raw(), sizeof raw);
  CHECK(raw.sin6_scope_id == loopback);
  CHECK(SocketAddr::from_raw(&raw, sizeof raw).to_string() == scoped);
  // A number need not be an interface of this machine. 0 means no scope.
  CHECK(SocketAddr::parse("[ff02::1%4294967295]:9")->to_string() == "[ff02::1%4294967295]:9");
  CHECK(SocketAddr::parse("[::1%0]:80")->to_string() == "[::1]:80");
  for (const std::string_view bad :
       {"[fe80::1%no-such-one]:80"sv, "[fe80::1%]:80"sv, "[fe80::1%4294967296]:80"sv,
        "[fe80::1%l\0]:80"sv, "[fe80::1%a-name-that-is-far-too-long]:80"sv}) {
    const auto address = SocketAddr::parse(bad);
    REQUIRE_FALSE(address.has_value());
    CHECK((address.error() == errc::unknown_interface || bad.find('\0') != bad.npos));
  }
  CHECK(lookup_host("[fe80::1%lo]:80").value().front() == *by_name);
}

TEST_CASE("SocketAddr: the error says what is wrong with the text") {
  struct Case {
    std::string_view text;
    errc wanted;
  };
  const Case cases[] = {
      {"7000", errc::missing_port},
      {"localhost", errc::missing_port},
      {"127.0.0.1", errc::missing_port},
      {"127.0.0.1:", errc::missing_port},
      {"[::1]", errc::missing_port},
      {"", errc::missing_port},
      {"127.0.0.1:http", errc::invalid_port},
      {"127.0.0.1:65536", errc::invalid_port},
      {"localhost:-1", errc::invalid_port},
      {"[::1]:x", errc::invalid_port},
      {"::1:80", errc::invalid_address},
      {":80", errc::invalid_address},
      {"[localhost]:80", errc::invalid_address},
      {"256.0.0.1:80", errc::invalid_address},
      {"[fe80::1%nope]:80", errc::unknown_interface},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.text));
    const auto parsed = SocketAddr::parse(one.text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == one.wanted);
    CHECK(parsed.error().message().size() > 20);
    const auto looked_up = lookup_host(one.text);  // without a look-up: there is no runtime
    REQUIRE_FALSE(looked_up.has_value());
    CHECK(looked_up.error() == one.wanted);
  }
}

TEST_CASE("SocketAddr: random bytes do no harm") {
  std::uint32_t state = 12345;
  const auto random = [&] { return state = state * 1664525U + 1013904223U, state >> 16U; };
  const std::string_view alphabet = "0123456789abcdef:.[]%\0 -"sv;
  int good = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (std::uint32_t n = random() % 24; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const auto address = SocketAddr::parse(text);
    if (!address) continue;
    ++good;
    REQUIRE(*SocketAddr::parse(address->to_string()) == *address);
  }
  for (int i = 0; i < 1000; ++i) {
    const std::string text = std::to_string(random() % 256) + "." + std::to_string(random() % 256) +
                             ".0.1:" + std::to_string(random() % 65536);
    good += SocketAddr::parse(text)->to_string() == text ? 1 : 0;
  }
  CHECK(good >= 1000);
}

TEST_CASE("SocketAddr: an empty address, other families and short forms do no harm") {
  SocketAddr none;
  CHECK(none.to_string() == "(none)");
  CHECK(none.port() == 0);
  CHECK_FALSE(none.is_ipv6());
  CHECK(none == SocketAddr());
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  CHECK(SocketAddr::from_raw(&local, sizeof local).raw_size() <= sizeof(sockaddr_in6));
  const sa_family_t family = AF_INET6;
  CHECK(SocketAddr::from_raw(&family, sizeof family).is_ipv6());
  CHECK(SocketAddr::from_raw(&family, sizeof family).to_string() == "[::]:0");
  CHECK(SocketAddr::from_raw(&family, 0) == none);
}

TEST_CASE("SocketAddr: the port can be changed, and takes part in comparisons") {
  auto address = *SocketAddr::parse("[::1]:1");
  const auto before = address;
  address.set_port(443);
  CHECK(address.to_string() == "[::1]:443");
  CHECK_FALSE(address == before);
  address.set_port(1);
  CHECK(address == before);
}
