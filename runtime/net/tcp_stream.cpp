// TcpStream: the parts of a connection that a Socket does not have.
#include <ramie/net/tcp.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

namespace ramie::inline v0::net {

namespace {

std::unexpected<std::error_code> invalid() noexcept {
  return failure(std::error_code(EINVAL, std::system_category()));
}

}  // namespace

Result<TcpStream> TcpStream::connect(std::string_view host_and_port) {
  auto addresses = lookup_host(host_and_port);
  if (!addresses) return failure(addresses.error());
  std::error_code last;
  for (const SocketAddr& address : *addresses) {
    auto stream = connect(address);
    if (stream) return stream;
    last = stream.error();
    if (last.category() == category()) break;  // cancelled: the other attempts would be too
  }
  return failure(last);
}

Result<void> TcpStream::read_exact(std::span<std::byte> buffer) noexcept {
  while (!buffer.empty()) {
    auto n = read(buffer);
    if (!n) return failure(n.error());
    if (*n == 0) return failure(std::make_error_code(std::errc::connection_aborted));
    buffer = buffer.subspan(*n);
  }
  return {};
}

Result<void> TcpStream::write_all(std::span<const std::byte> data) noexcept {
  while (!data.empty()) {
    auto n = write(data);
    if (!n) return failure(n.error());
    data = data.subspan(*n);
  }
  return {};
}

Result<void> TcpStream::set_nodelay(bool on) noexcept {
  return socket_.set_option(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

Result<bool> TcpStream::nodelay() const noexcept {
  const auto value = socket_.option(IPPROTO_TCP, TCP_NODELAY);
  if (!value) return failure(value.error());
  return *value != 0;
}

Result<void> TcpStream::set_linger(std::optional<std::chrono::seconds> time) noexcept {
  if (time && (time->count() < 0 || !std::in_range<int>(time->count()))) return invalid();
  ::linger value{};
  value.l_onoff = time ? 1 : 0;
  value.l_linger = time ? static_cast<int>(time->count()) : 0;
  return socket_.set_option(SOL_SOCKET, SO_LINGER, std::as_bytes(std::span(&value, 1)));
}

Result<void> TcpStream::set_keepalive(bool on) noexcept {
  return socket_.set_option(SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
}

Result<void> TcpStream::set_send_buffer_size(std::size_t bytes) noexcept {
  if (!std::in_range<int>(bytes)) return invalid();
  return socket_.set_option(SOL_SOCKET, SO_SNDBUF, static_cast<int>(bytes));
}

Result<void> TcpStream::set_receive_buffer_size(std::size_t bytes) noexcept {
  if (!std::in_range<int>(bytes)) return invalid();
  return socket_.set_option(SOL_SOCKET, SO_RCVBUF, static_cast<int>(bytes));
}

}  // namespace ramie::inline v0::net
