// TcpListener: opening a listening socket.
#include "io/handle.hpp"
#include "io/sys/fd.hpp"
#include "runtime/net/host_port.hpp"
#include "runtime/net/reserve.hpp"
#include "runtime/net/sys/socket.hpp"

#include <ramie/net/tcp.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <new>

namespace ramie::inline v0::net {

using io::system_error;

Result<TcpListener> TcpListener::bind(std::string_view address,
                                      const ListenOptions& options) noexcept {
  if (const auto parts = HostPort::split(address); parts && parts->is_any())
    return bind_any(parts->number, options);
  auto parsed = SocketAddr::parse(address);
  if (parsed) return bind(*parsed, options);
  try {
    auto found = lookup_host(address);
    if (!found) return failure(found.error());
    std::error_code first;
    for (const bool is_ipv6 : {false, true}) {
      for (const SocketAddr& one : *found) {
        if (one.is_ipv6() != is_ipv6) continue;
        auto listener = bind(one, options);
        if (listener) return listener;
        if (!first) first = listener.error();
      }
    }
    return failure(first);
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

// Binds an IPv6 socket that takes both families, whatever net.ipv6.bindv6only says. Without IPv6 it
// binds an IPv4 socket.
Result<TcpListener> TcpListener::bind_any(std::uint16_t port,
                                          const ListenOptions& options) noexcept {
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  auto listener = open(SocketAddr::from_raw(&six, sizeof six), options, !options.only_ipv6);
  if (listener || options.only_ipv6) return listener;
  if (listener.error() != std::errc::address_family_not_supported &&
      listener.error() != std::errc::address_not_available)
    return listener;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  return bind(SocketAddr::from_raw(&four, sizeof four), options);
}

Result<TcpListener> TcpListener::bind(const SocketAddr& address,
                                      const ListenOptions& options) noexcept {
  return open(address, options, false);
}

Result<TcpListener> TcpListener::open(const SocketAddr& address, const ListenOptions& options,
                                      bool both_families) noexcept {
  if (io::Handle::current() == nullptr) return failure(errc::no_runtime);
  const int family = address.is_ipv6() ? AF_INET6 : AF_INET;
  io::sys::UniqueFd fd(sys::stream_socket(family));
  if (!fd.is_open()) return failure(system_error(fd.get()));
  const int on = 1;
  int rc = sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (rc == 0 && options.reuse_port)
    rc = sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const int only_six = both_families ? 0 : 1;
  if (rc == 0 && (options.only_ipv6 || both_families) && family == AF_INET6)
    rc = sys::set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof only_six);
  if (rc == 0) rc = sys::bind(fd.get(), address.raw(), address.raw_size());
  if (rc == 0) rc = sys::listen(fd.get(), options.backlog);
  if (rc < 0) return failure(system_error(rc));
  auto socket = Socket::adopt(fd.release(), true);
  if (!socket) return failure(socket.error());
  keep_reserve();
  return TcpListener(std::move(*socket));
}

}  // namespace ramie::inline v0::net
