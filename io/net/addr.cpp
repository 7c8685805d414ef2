// SocketAddr: text and the kernel's form.
#include "io/sys/socket.hpp"

#include <ramie/net.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <charconv>
#include <cstring>

namespace ramie {
inline namespace v0 {
namespace net {

namespace {

template <class T>
T as(const void* raw) noexcept {
  T value{};
  std::memcpy(&value, raw, sizeof value);
  return value;
}

bool read_port(std::string_view text, std::uint16_t& port) noexcept {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stopped == end && !text.empty();
}

}  // namespace

Result<SocketAddr> SocketAddr::parse(std::string_view text) noexcept {
  const auto invalid = failure(std::make_error_code(std::errc::invalid_argument));
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string_view::npos || !read_port(text.substr(colon + 1), port)) return invalid;
  std::string_view host = text.substr(0, colon);
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  char name[INET6_ADDRSTRLEN + 1];
  if (host.size() >= sizeof name || host.find('\0') != std::string_view::npos) return invalid;
  std::copy(host.begin(), host.end(), name);
  name[host.size()] = '\0';
  if (is_bracketed) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, name, &address.sin6_addr) != 1) return invalid;
    return from_raw(&address, sizeof address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, name, &address.sin_addr) != 1) return invalid;
  return from_raw(&address, sizeof address);
}

SocketAddr SocketAddr::from_raw(const void* address, std::size_t size) noexcept {
  static_assert(sizeof(raw_) >= sizeof(sockaddr_in6));
  SocketAddr result;
  result.size_ = static_cast<std::uint32_t>(std::min(size, sizeof result.raw_));
  std::memcpy(result.raw_, address, result.size_);
  return result;
}

bool SocketAddr::is_ipv6() const noexcept {
  return size_ != 0 && as<sockaddr>(raw_).sa_family == AF_INET6;
}

std::uint16_t SocketAddr::port() const noexcept {
  if (size_ == 0) return 0;
  return ntohs(as<sockaddr_in>(raw_).sin_port);  // the same place in both families
}

void SocketAddr::set_port(std::uint16_t port) noexcept {
  const std::uint16_t swapped = htons(port);
  std::memcpy(raw_ + offsetof(sockaddr_in, sin_port), &swapped, sizeof swapped);
}

std::string SocketAddr::to_string() const {
  if (size_ == 0) return "(none)";
  char name[INET6_ADDRSTRLEN] = "?";
  if (is_ipv6()) {
    const auto address = as<sockaddr_in6>(raw_);
    ::inet_ntop(AF_INET6, &address.sin6_addr, name, sizeof name);
    return "[" + std::string(name) + "]:" + std::to_string(port());
  }
  const auto address = as<sockaddr_in>(raw_);
  ::inet_ntop(AF_INET, &address.sin_addr, name, sizeof name);
  return std::string(name) + ":" + std::to_string(port());
}

bool operator==(const SocketAddr& a, const SocketAddr& b) noexcept {
  return a.size_ == b.size_ && std::memcmp(a.raw_, b.raw_, a.size_) == 0;
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
