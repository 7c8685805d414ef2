// Splits "host:port" as users write it.
#pragma once

#include <ramie/result.hpp>

#include <cstdint>
#include <string_view>

namespace ramie::inline v0::net {

struct HostPort {
  std::string_view host;  // without the brackets of an IPv6 address
  std::string_view port;  // a number
  std::uint16_t number;
  bool is_bracketed;

  // Errors: missing_port, invalid_port; invalid_address for brackets that do not match, and NULs.
  static Result<HostPort> split(std::string_view text) noexcept;

  // Whether there is only a port, for all addresses of this machine: ":7000", "*:7000".
  bool is_any() const noexcept { return !is_bracketed && (host.empty() || host == "*"); }
  // Whether it may be a host's name. Without brackets an IPv6 address and its port cannot be told
  // apart. The resolver would accept unusual forms of IPv4 addresses, and would ask a name server
  // for "256.0.0.1".
  bool is_name() const noexcept;
};

}  // namespace ramie::inline v0::net
