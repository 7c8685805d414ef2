// Parses the command line of `ramie demo` strictly: an unknown argument is an error that says what
// is accepted.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

namespace demo {

struct Options {
  bool help = false;
  bool serve = false;
  bool redis_benchmark = true;
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;       // of RESP; 0: a free one. --serve: 6379 unless given
  std::uint16_t http_port = 0;  // --serve: 8080 unless given
  unsigned workers = 0;         // 0: the runtime decides
  unsigned seconds = 10;
  unsigned connections = 1000;
  unsigned idle_timeout = 0;  // seconds; 0: no timeout
  std::string aof;            // the append-only log; empty: none
  bool fsync_always = false;  // else every second
};

/// Arguments behind `ramie demo`. The error is one line, without the program's name.
std::expected<Options, std::string> parse_options(std::span<const std::string_view> args);

std::string_view usage() noexcept;

/// "host:port", with brackets around an IPv6 host.
std::string address(std::string_view host, std::uint16_t port);

}  // namespace demo
