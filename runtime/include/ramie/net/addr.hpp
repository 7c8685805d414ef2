// Socket addresses, and the look-up of names.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ramie::inline v0::net {

/// An IPv4 or IPv6 address with a port.
class SocketAddr {
 public:
  SocketAddr() noexcept = default;

  /// Parses "127.0.0.1:80", "[::1]:80" or "[fe80::1%eth0]:80". The scope is an interface's name or
  /// number. Takes numbers only: no name is looked up.
  /// Errors   missing_port, invalid_port and invalid_address, which all equal invalid_argument;
  ///          unknown_interface; too_many_files_open, ... if the call that asks for the interface
  ///          gets no socket.
  [[nodiscard]] RAMIE_API static Result<SocketAddr> parse(std::string_view text) noexcept;
  /// Takes the kernel's form: a sockaddr of `size` bytes.
  RAMIE_API static SocketAddr from_raw(const void* address, std::size_t size) noexcept;

  /// Returns a text that parse() accepts. A scope is a number.
  RAMIE_API std::string to_string() const;
  RAMIE_API std::uint16_t port() const noexcept;
  RAMIE_API void set_port(std::uint16_t port) noexcept;
  RAMIE_API bool is_ipv6() const noexcept;
  /// The kernel's form and its size.
  const void* raw() const noexcept { return raw_; }
  std::size_t raw_size() const noexcept { return size_; }
  RAMIE_API friend bool operator==(const SocketAddr& a, const SocketAddr& b) noexcept;

 private:
  alignas(4) unsigned char raw_[28] = {};
  std::uint32_t size_ = 0;
};

/// Returns all addresses of "host:port". The system's resolver runs on one of eight threads that
/// the process keeps for it.
/// Returns  at least one address. An address in numbers is not looked up.
/// Errors   those of SocketAddr::parse(); host_not_found, resolver_failed; not_enough_memory,
///          resource_unavailable_try_again, no_runtime, canceled, timed_out, shutting_down. Throws
///          std::bad_alloc.
/// Blocks   this fiber.
/// Threads  fibers only.
/// Cancel   safe. A look-up that has not started is dropped. One that has started runs to its end
///          in its thread; neither the end of a runtime nor the end of the program waits for it.
[[nodiscard]] RAMIE_API Result<std::vector<SocketAddr>> lookup_host(std::string_view host_and_port);

}  // namespace ramie::inline v0::net
