// Names to addresses: getaddrinfo on a thread of the blocking pool (NSS plug-ins are arbitrary
// code).
#include <ramie/net.hpp>
#include <ramie/task.hpp>

#include <netdb.h>
#include <sys/socket.h>
#include <cstring>

namespace ramie {
inline namespace v0 {
namespace net {

namespace {

std::error_code code_of(int rc, int saved_errno) noexcept {
  switch (rc) {
    case EAI_SYSTEM: return {saved_errno, std::system_category()};
    case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
    case EAI_AGAIN: return std::make_error_code(std::errc::resource_unavailable_try_again);
    case EAI_SERVICE: return std::make_error_code(std::errc::invalid_argument);
    default: return std::make_error_code(std::errc::address_not_available);
  }
}

Result<std::vector<SocketAddr>> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (rc != 0) return failure(code_of(rc, static_cast<int>(std::errc::io_error)));
  std::vector<SocketAddr> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    addresses.push_back(SocketAddr::from_raw(one->ai_addr, one->ai_addrlen));
  ::freeaddrinfo(found);
  if (addresses.empty()) return failure(std::make_error_code(std::errc::address_not_available));
  return addresses;
}

}  // namespace

Result<std::vector<SocketAddr>> lookup_host(std::string_view host_and_port) {
  if (auto number = SocketAddr::parse(host_and_port)) return std::vector{*number};
  const std::size_t colon = host_and_port.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == host_and_port.size())
    return failure(std::make_error_code(std::errc::invalid_argument));
  auto job = spawn_blocking(&resolve, std::string(host_and_port.substr(0, colon)),
                            std::string(host_and_port.substr(colon + 1)));
  return job.join();
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
