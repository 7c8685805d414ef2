// Socket: makes each call as soon as it may succeed, and waits on EAGAIN (io/operation.hpp).
#include <ramie/net/socket.hpp>

#include "io/handle.hpp"
#include "io/operation.hpp"
#include "io/sys/fd.hpp"
#include "runtime/net/sys/socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>
#include <utility>

namespace ramie::inline v0::net {

namespace {

using io::Interest;
using io::not_open;
using io::Operation;
using io::result_of;
using io::ScheduledIo;
using io::Short;
using io::system_error;
using sched::WaitKind;

// Urgent data, too: beside it a short read proves nothing (I7).
constexpr Interest kAll = Interest::readable | Interest::writable | Interest::priority;

// Returns how many bytes one vectored call moves at most: those of its first kMaxParts parts that
// are not empty. A read that filled them was not short.
template <class Parts>
std::size_t most_in_one_call(const Parts& parts) noexcept {
  std::size_t total = 0;
  std::size_t taken = 0;
  for (const auto& part : parts) {
    if (part.empty()) continue;
    if (++taken > sys::kMaxParts) break;
    total += part.size();
  }
  return total;
}

// Of a call that moves what there is, as far as there is room.
Short of_short(const ScheduledIo& source) noexcept {
  return source.is_drained_by_short() ? Short::clears : Short::proves_nothing;
}

// Inline, so that the loop knows its interest: 70 instructions less in each call (callgrind).
[[gnu::always_inline]] inline Operation reading(const io::Registration& registration) noexcept {
  ScheduledIo& source = ScheduledIo::of(registration);
  return {.io = source,
          .interest = Interest::readable,
          .kind = WaitKind::readable,
          .on_short = of_short(source)};
}

[[gnu::always_inline]] inline Operation writing(const io::Registration& registration) noexcept {
  ScheduledIo& source = ScheduledIo::of(registration);
  return {.io = source,
          .interest = Interest::writable,
          .kind = WaitKind::writable,
          .on_short = of_short(source)};
}

template <class Call>
Result<SocketAddr> address_by(Call&& call, int fd) noexcept {
  sockaddr_storage raw{};
  std::size_t size = sizeof raw;
  if (const int rc = call(fd, &raw, size); rc < 0) return failure(system_error(rc));
  const auto address = SocketAddr::from_raw(&raw, size);
  if (address.raw_size() == 0)
    return failure(std::make_error_code(std::errc::address_family_not_supported));
  return address;
}

// 1 for TCP, and for MPTCP, which is TCP to programs; 0, or -errno.
int is_tcp(int fd) noexcept {
  constexpr int kMptcp = 262;  // IPPROTO_MPTCP
  int family = 0;
  int protocol = 0;
  if (const int rc = sys::get_option(fd, SOL_SOCKET, SO_DOMAIN, &family, sizeof family); rc < 0)
    return rc;
  if (const int rc = sys::get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof protocol);
      rc < 0)
    return rc;
  const bool is_internet = family == AF_INET || family == AF_INET6;
  return is_internet && (protocol == IPPROTO_TCP || protocol == kMptcp) ? 1 : 0;
}

}  // namespace

Result<Socket> Socket::from_fd(int fd) noexcept {
  io::sys::UniqueFd owned(fd);
  const int mode = sys::is_nonblocking(fd);
  if (mode < 0) return failure(system_error(mode));
  if (mode == 0) return failure(std::make_error_code(std::errc::invalid_argument));
  const int is_tcp = net::is_tcp(fd);
  if (is_tcp < 0) return failure(system_error(is_tcp));
  return adopt(owned.release(), is_tcp != 0);
}

Result<Socket> Socket::adopt(int fd, bool is_tcp) noexcept {
  io::sys::UniqueFd owned(fd);
  auto registration = io::Registration::create(fd, kAll);
  if (!registration) return failure(registration.error());
  if (is_tcp) ScheduledIo::of(*registration).set_drained_by_short();
  (void)owned.release();
  return Socket(std::move(*registration));
}

Result<Socket> Socket::connect(const SocketAddr& peer) noexcept {
  if (io::Handle::current() == nullptr) return failure(errc::no_runtime);
  // A cancelled fiber must not send anything.
  if (auto entered = detail::enter_wait(); !entered) return failure(entered.error());
  io::sys::UniqueFd fd(sys::stream_socket(peer.is_ipv6() ? AF_INET6 : AF_INET));
  if (!fd.is_open()) return failure(system_error(fd.get()));
  int rc = -EINTR;
  while (rc == -EINTR) rc = sys::connect(fd.get(), peer.raw(), peer.raw_size());
  // EALREADY is what the call after an EINTR returns.
  if (rc != 0 && rc != -EINPROGRESS && rc != -EALREADY) return failure(system_error(rc));
  auto socket = adopt(fd.release(), true);
  if (!socket || rc == 0) return socket;
  // The first report for a connecting socket may be a HUP from before the attempt. So this trusts
  // only SO_ERROR and getpeername.
  Operation connecting = writing(socket->registration_);
  connecting.kind = WaitKind::connect;
  connecting.start = io::Start::with_wait;
  std::error_code error;
  const auto ask_outcome = [&](std::size_t&) -> io::Bytes {
    if ((error = socket->take_error())) return 0;
    const auto connected = socket->peer_addr();
    if (!connected && connected.error() == std::errc::not_connected) return -EAGAIN;
    // Any other error ends the attempt, because the edge that another wait needs has already come.
    if (!connected) error = connected.error();
    return 0;
  };
  sched::Wait wait(connecting.kind, &connecting.io);
  if (auto done = run_entered(wait, connecting, 0, ask_outcome); !done)
    return failure(done.error());
  if (error) return failure(error);
  return socket;
}

Result<std::size_t> Socket::receive(std::span<std::byte> buffer) noexcept {
  if (!is_open()) return not_open();
  if (buffer.empty()) return std::size_t{0};
  const Operation operation = reading(registration_);
  const int fd = operation.io.fd();
  return io::run(operation, buffer.size(), [&](std::size_t& asked) noexcept {
    return sys::receive(fd, buffer, asked, false);
  });
}

Result<std::size_t> Socket::receive_vectored(
    std::span<const std::span<std::byte>> buffers) noexcept {
  if (!is_open()) return not_open();
  const std::size_t total = most_in_one_call(buffers);
  if (total == 0) return std::size_t{0};
  const Operation operation = reading(registration_);
  const int fd = operation.io.fd();
  return io::run(operation, total, [&](std::size_t& asked) noexcept {
    return sys::receive_vectored(fd, buffers, asked);
  });
}

Result<std::size_t> Socket::peek(std::span<std::byte> buffer) noexcept {
  if (!is_open()) return not_open();
  if (buffer.empty()) return std::size_t{0};
  Operation operation = reading(registration_);
  operation.on_short = Short::proves_nothing;
  const int fd = operation.io.fd();
  return io::run(operation, buffer.size(), [&](std::size_t& asked) noexcept {
    return sys::receive(fd, buffer, asked, true);
  });
}

Result<std::size_t> Socket::send(std::span<const std::byte> data) noexcept {
  if (!is_open()) return not_open();
  if (data.empty()) return std::size_t{0};
  const Operation operation = writing(registration_);
  const int fd = operation.io.fd();
  return io::run(operation, data.size(),
                 [&](std::size_t& asked) noexcept { return sys::send(fd, data, asked); });
}

Result<std::size_t> Socket::send_vectored(
    std::span<const std::span<const std::byte>> data) noexcept {
  if (!is_open()) return not_open();
  const std::size_t total = most_in_one_call(data);
  if (total == 0) return std::size_t{0};
  // sendmsg takes one part after the other and may stop between two: that proves no full buffer.
  Operation operation = writing(registration_);
  operation.on_short = Short::proves_nothing;
  const int fd = operation.io.fd();
  return io::run(operation, total,
                 [&](std::size_t& asked) noexcept { return sys::send_vectored(fd, data, asked); });
}

// The caller makes its own calls, and does not say when one returns EAGAIN. So this asks the kernel
// instead of the stored bits, and clears only the report of an error that the caller now hears of.
Result<void> Socket::wait_for(Interest interest) noexcept {
  if (!is_open()) return not_open();
  ScheduledIo& source = ScheduledIo::of(registration_);
  const WaitKind kind = interest == Interest::readable   ? WaitKind::readable
                        : interest == Interest::writable ? WaitKind::writable
                                                         : WaitKind::io;
  auto level = source.wait_for_level(interest, kind, ScheduledIo::Sharing::one_waiter);
  if (!level) return failure(level.error());
  source.state().clear(io::IoState::news_for(interest), level->seen);
  return {};
}

Result<void> Socket::shutdown(Shutdown how) noexcept {
  const int mode = how == Shutdown::read ? SHUT_RD : how == Shutdown::write ? SHUT_WR : SHUT_RDWR;
  const int rc = sys::shutdown(fd(), mode);
  return rc == -ENOTCONN ? Result<void>{} : result_of(rc);
}

Result<SocketAddr> Socket::local_addr() const noexcept {
  return address_by(sys::local_address, fd());
}

Result<SocketAddr> Socket::peer_addr() const noexcept {
  return address_by(sys::peer_address, fd());
}

Result<void> Socket::set_option(int level, int name, int value) noexcept {
  return set_option(level, name, std::as_bytes(std::span(&value, 1)));
}

Result<void> Socket::set_option(int level, int name, std::span<const std::byte> value) noexcept {
  return result_of(sys::set_option(fd(), level, name, value.data(), value.size()));
}

Result<int> Socket::option(int level, int name) const noexcept {
  int value = 0;
  if (const int rc = sys::get_option(fd(), level, name, &value, sizeof value); rc < 0)
    return failure(system_error(rc));
  return value;
}

std::error_code Socket::take_error() noexcept {
  const auto error = option(SOL_SOCKET, SO_ERROR);
  return error ? std::error_code(*error, std::system_category()) : error.error();
}

int Socket::into_fd() noexcept {
  const int fd = this->fd();
  (void)registration_.deregister();
  return fd;
}

// Ends the registration first: after the close another descriptor may get the number.
void Socket::close_now() noexcept { io::sys::close(into_fd()); }

}  // namespace ramie::inline v0::net
