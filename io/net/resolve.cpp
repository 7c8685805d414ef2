// Names to addresses: getaddrinfo on a thread of the blocking pool (NSS plug-ins are arbitrary
// code).
#include "io/sys/socket.hpp"

#include <ramie/net.hpp>
#include <ramie/task.hpp>

#include <netdb.h>
#include <sys/socket.h>
#include <charconv>
#include <cstring>
#include <memory>

namespace ramie {
inline namespace v0 {
namespace net {

namespace {

std::error_code code_of(int rc, int system_error) noexcept {
  switch (rc) {
    case EAI_SYSTEM: return {system_error, std::system_category()};
    case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
    case EAI_AGAIN: return std::make_error_code(std::errc::resource_unavailable_try_again);
    case EAI_SERVICE: return std::make_error_code(std::errc::invalid_argument);
    default: return std::make_error_code(std::errc::address_not_available);
  }
}

// The resolver would take "99999" for 34463, and only see what stands before a NUL.
bool is_acceptable(std::string_view host, std::string_view port) noexcept {
  std::uint16_t number = 0;
  const char* end = port.data() + port.size();
  const auto [stopped, error] = std::from_chars(port.data(), end, number);
  return error == std::errc() && stopped == end && !host.empty() &&
         host.find('\0') == std::string_view::npos;
}

Result<std::vector<SocketAddr>> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int error = 0;
  const int rc = io::sys::look_up(host.c_str(), port.c_str(), hints, found, error);
  if (rc != 0) return failure(code_of(rc, -error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  std::vector<SocketAddr> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    addresses.push_back(SocketAddr::from_raw(one->ai_addr, one->ai_addrlen));
  if (addresses.empty()) return failure(std::make_error_code(std::errc::address_not_available));
  return addresses;
}

}  // namespace

Result<std::vector<SocketAddr>> lookup_host(std::string_view host_and_port) {
  if (auto number = SocketAddr::parse(host_and_port)) return std::vector{*number};
  const std::size_t colon = host_and_port.rfind(':');
  const std::string_view host = host_and_port.substr(0, colon);
  const std::string_view port =
      colon == std::string_view::npos ? "" : host_and_port.substr(colon + 1);
  if (!is_acceptable(host, port)) return failure(std::make_error_code(std::errc::invalid_argument));
  auto job = spawn_blocking(&resolve, std::string(host), std::string(port));
  return job.join();
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
