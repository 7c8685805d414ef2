// Addresses of sockets, and how a name becomes one.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace net {

/// An IPv4 or IPv6 address with a port.
class SocketAddr {
 public:
  SocketAddr() noexcept = default;

  /// Reads "127.0.0.1:80", "[::1]:80" or "[fe80::1%eth0]:80", whose scope is an interface's name or
  /// number: numbers only, no look-up.
  /// Returns  the address.
  /// Errors   missing_port, invalid_port and invalid_address, which are invalid_argument;
  ///          unknown_interface; too_many_files_open, ... if no socket can be had to ask for it.
  [[nodiscard]] RAMIE_API static Result<SocketAddr> parse(std::string_view text) noexcept;
  /// From the kernel's form: a sockaddr of `size` bytes.
  RAMIE_API static SocketAddr from_raw(const void* address, std::size_t size) noexcept;

  /// A text that parse() takes; a scope is a number.
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

/// All addresses of "host:port"; asks the system's resolver on one of the process's eight threads
/// for that.
/// Returns  at least one address; numbers are not looked up.
/// Errors   those of SocketAddr::parse(); host_not_found, resolver_failed; not_enough_memory,
///          resource_unavailable_try_again, no_runtime, canceled, timed_out, shutting_down. Throws
///          std::bad_alloc.
/// Blocks   this fiber.
/// Threads  fibers.
/// Cancel   safe: a look-up that has not begun is not made; one that has goes on alone in its
///          thread, and neither a runtime's end nor the program's waits for it.
[[nodiscard]] RAMIE_API Result<std::vector<SocketAddr>> lookup_host(std::string_view host_and_port);

}  // namespace net
}  // namespace v0
}  // namespace ramie
