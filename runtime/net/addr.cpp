// SocketAddr: conversion between text and the kernel's form.
#include "runtime/net/host_port.hpp"
#include "runtime/net/sys/socket.hpp"

#include <ramie/net.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace ramie::inline v0::net {

namespace {

template <class T>
T as(const void* raw) noexcept {
  T value{};
  std::memcpy(&value, raw, sizeof value);
  return value;
}

template <class Number>
bool read_number(std::string_view text, Number& number) noexcept {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stopped == end && !text.empty();
}

// Makes a C string. Returns false if it does not fit.
template <std::size_t n>
bool copy(std::string_view text, char (&out)[n]) noexcept {
  if (text.size() >= n) return false;
  std::copy(text.begin(), text.end(), out);
  out[text.size()] = '\0';
  return true;
}

Result<std::uint32_t> read_scope(std::string_view text) noexcept {
  std::uint32_t scope = 0;
  if (read_number(text, scope)) return scope;
  char name[IF_NAMESIZE];
  if (text.empty() || !copy(text, name)) return failure(errc::unknown_interface);
  const std::int64_t index = sys::interface_index(name);
  if (index == -ENODEV || index == -ENXIO) return failure(errc::unknown_interface);
  if (index < 0) return failure({static_cast<int>(-index), std::system_category()});
  return static_cast<std::uint32_t>(index);
}

Result<SocketAddr> parse_ipv6(const HostPort& parts) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(parts.number);
  const std::size_t percent = parts.host.find('%');
  char number[INET6_ADDRSTRLEN + 1];
  if (!copy(parts.host.substr(0, percent), number) ||
      ::inet_pton(AF_INET6, number, &address.sin6_addr) != 1)
    return failure(errc::invalid_address);
  if (percent != std::string_view::npos) {
    const auto scope = read_scope(parts.host.substr(percent + 1));
    if (!scope) return failure(scope.error());
    address.sin6_scope_id = *scope;
  }
  return SocketAddr::from_raw(&address, sizeof address);
}

}  // namespace

Result<HostPort> HostPort::split(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && !text.ends_with(']');
  if (!has_port || colon + 1 == text.size()) return failure(errc::missing_port);
  HostPort parts{text.substr(0, colon), text.substr(colon + 1), 0, false};
  if (!read_number(parts.port, parts.number)) return failure(errc::invalid_port);
  std::string_view& host = parts.host;
  parts.is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (parts.is_bracketed) host = host.substr(1, host.size() - 2);
  if (host.find_first_of(std::string_view("[]\0", 3)) != std::string_view::npos)
    return failure(errc::invalid_address);
  return parts;
}

bool HostPort::is_name() const noexcept {
  if (is_bracketed || host.empty() || host.find(':') != std::string_view::npos) return false;
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.empty() || last.find_first_not_of("0123456789") != std::string_view::npos) return true;
  char text[INET6_ADDRSTRLEN + 1];
  in_addr ignored{};
  return copy(host, text) && ::inet_aton(text, &ignored) != 0;
}

Result<SocketAddr> SocketAddr::parse(std::string_view text) noexcept {
  const auto parts = HostPort::split(text);
  if (!parts) return failure(parts.error());
  if (parts->is_bracketed) return parse_ipv6(*parts);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(parts->number);
  char number[INET_ADDRSTRLEN + 1];
  if (!copy(parts->host, number) || ::inet_pton(AF_INET, number, &address.sin_addr) != 1)
    return failure(errc::invalid_address);
  return from_raw(&address, sizeof address);
}

SocketAddr SocketAddr::from_raw(const void* address, std::size_t size) noexcept {
  static_assert(sizeof(raw_) >= sizeof(sockaddr_in6));
  SocketAddr result;
  const auto family = size < sizeof(sa_family_t) ? AF_UNSPEC : as<sa_family_t>(address);
  if (family != AF_INET && family != AF_INET6) return result;
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
    // The scope is a number, because interface names change and may contain a ']'.
    const std::uint32_t scope = address.sin6_scope_id;
    return "[" + std::string(name) + (scope == 0 ? "" : "%" + std::to_string(scope)) +
           "]:" + std::to_string(port());
  }
  const auto address = as<sockaddr_in>(raw_);
  ::inet_ntop(AF_INET, &address.sin_addr, name, sizeof name);
  return std::string(name) + ":" + std::to_string(port());
}

bool operator==(const SocketAddr& a, const SocketAddr& b) noexcept {
  return a.size_ == b.size_ && std::memcmp(a.raw_, b.raw_, a.size_) == 0;
}

}  // namespace ramie::inline v0::net
