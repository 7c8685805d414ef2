// TcpStream: recv and send, tried at once; waiting only on EAGAIN.
#include "io/handle.hpp"
#include "io/stream_io.hpp"
#include "io/sys/fd.hpp"
#include "io/sys/socket.hpp"

#include <ramie/net.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <cerrno>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace net {

namespace {

using io::Direction;
using io::Operation;
using io::ScheduledIo;
using io::Short;
using io::system_error;
using sched::WaitKind;
namespace sys = io::sys;

constexpr io::Interest kBoth = io::Interest::readable | io::Interest::writable;

Result<void> outcome(int rc) noexcept {
  if (rc < 0) return failure(system_error(rc));
  return {};
}

// How much one vectored call moves at most: it takes only so many parts, and a read that filled
// them was not short, however many more there are.
template <class Parts>
std::size_t total_size(const Parts& parts) noexcept {
  std::size_t total = 0;
  std::size_t taken = 0;
  for (const auto& part : parts) {
    if (part.empty()) continue;
    if (++taken > sys::kMaxParts) break;
    total += part.size();
  }
  return total;
}

Operation reading(ScheduledIo* shared) noexcept {
  return {*shared, Direction::read, WaitKind::readable};
}

struct Reading {
  std::size_t size;
  Short on_short;
  std::span<std::byte> buffer;  // that the ring may fill; empty: the call is repeated instead
};

// Waits in the worker's ring, which fills `buffer` unless that is empty. `unsupported`: there is no
// ring here, and the socket waits for readiness from now on.
Result<std::size_t> wait_by_ring(ScheduledIo& shared, std::uint16_t generation, int fd,
                                 std::span<std::byte> buffer) noexcept {
  const io::Handle* handle = io::Handle::current();
  if (handle != nullptr && handle->ring_reads() != nullptr) {
    auto received = handle->ring_reads()->receive(shared, generation, fd, buffer);
    if (received || received.error() != errc::unsupported) return received;
  }
  if (auto turned = shared.driver().listen_to_reads(shared, generation, fd); !turned)
    return failure(turned.error());
  return failure(errc::unsupported);
}

template <class Call>
Result<std::size_t> run_read(ScheduledIo& shared, int fd, const Reading& reading_of,
                             Call&& call) noexcept {
  const std::uint16_t generation = shared.generation();
  while (shared.reads_by_ring()) {
    if (auto entered = sched::Wait(WaitKind::readable, &shared).enter(); !entered)
      return failure(entered.error());
    if (!shared.is_drained() || reading_of.buffer.empty()) {
      std::size_t asked = reading_of.size;
      const sys::Bytes n = call(asked);
      if (n == -EINTR) continue;
      if (n < 0 && n != -EAGAIN) return failure(system_error(n));
      shared.set_drained(!reading_of.buffer.empty() && n < static_cast<sys::Bytes>(asked));
      if (n >= 0) return static_cast<std::size_t>(n);
    }
    auto received = wait_by_ring(shared, generation, fd, reading_of.buffer);
    if (!received && received.error() == errc::unsupported) continue;
    if (!received) return received;
    if (reading_of.buffer.empty()) continue;
    shared.set_drained(*received < reading_of.buffer.size());
    return received;
  }
  return run_operation(reading(&shared), reading_of.size, reading_of.on_short, call);
}
Operation writing(ScheduledIo* shared) noexcept {
  return {*shared, Direction::write, WaitKind::writable};
}

// Not a readiness that we only assume: the driver must have spoken. Whoever reads or writes by
// itself clears nothing, so what is remembered is not believed either.
Result<void> wait_for(ScheduledIo& shared, int fd, io::Interest interest, WaitKind kind) noexcept {
  auto level = shared.wait_for_level(fd, interest, kind, ScheduledIo::Sharing::one_waiter);
  if (!level) return failure(level.error());
  shared.state().clear(io::IoState::news_for(interest), level->seen);
  return {};
}

std::unexpected<std::error_code> not_open() noexcept {
  return failure(std::make_error_code(std::errc::bad_file_descriptor));
}

}  // namespace

TcpStream::TcpStream(TcpStream&& other) noexcept
    : registration_(std::move(other.registration_)), fd_(std::exchange(other.fd_, -1)) {}

TcpStream& TcpStream::operator=(TcpStream&& other) noexcept {
  if (this != &other) {
    close();
    registration_ = std::move(other.registration_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

TcpStream::~TcpStream() { close(); }

void TcpStream::close() noexcept {
  if (fd_ < 0) return;
  const int fd = std::exchange(fd_, -1);
  if (!registration_.leave()) sys::close(fd);
}

int TcpStream::into_fd() noexcept {
  (void)registration_.deregister();
  return std::exchange(fd_, -1);
}

Result<TcpStream> TcpStream::from_fd(int fd) noexcept {
  sys::UniqueFd owned(fd);
  const int mode = sys::is_nonblocking(fd);
  if (mode < 0) return failure(system_error(mode));
  if (mode == 0) return failure(std::make_error_code(std::errc::invalid_argument));
  const io::Handle* handle = io::Handle::current();
  const bool by_ring = handle != nullptr && handle->ring_reads() != nullptr;
  auto registration = io::Registration::create(fd, by_ring ? io::Interest::writable : kBoth);
  if (!registration) return failure(registration.error());
  registration->shared()->set_reads_by_ring(by_ring);
  return TcpStream(std::move(*registration), owned.release());
}

Result<TcpStream> TcpStream::connect(const SocketAddr& peer) noexcept {
  if (io::Handle::current() == nullptr) return failure(errc::no_runtime);
  // A cancelled fiber does not even knock.
  if (auto entered = sched::Wait(WaitKind::connect, nullptr).enter(); !entered)
    return failure(entered.error());
  sys::UniqueFd fd(sys::tcp_socket(peer.is_ipv6() ? AF_INET6 : AF_INET));
  if (!fd.is_open()) return failure(system_error(fd.get()));
  int rc = -EINTR;
  while (rc == -EINTR) rc = sys::connect(fd.get(), peer.raw(), peer.raw_size());
  if (rc != 0 && rc != -EINPROGRESS && rc != -EALREADY) return failure(system_error(rc));
  auto stream = from_fd(fd.release());
  if (!stream || rc == 0) return stream;
  // The first report for a connecting socket may be its HUP before the attempt: believe SO_ERROR
  // and getpeername only.
  ScheduledIo& shared = *stream->registration_.shared();
  for (;;) {
    auto ready =
        shared.wait(io::Interest::writable, WaitKind::connect, ScheduledIo::Sharing::one_waiter);
    if (!ready) return failure(ready.error());
    if (auto error = stream->take_error()) return failure(error);
    const auto connected = stream->peer_addr();
    if (connected) return stream;
    // Anything but "not yet" would have us wait for an edge that has come already.
    if (connected.error() != std::errc::not_connected) return failure(connected.error());
    shared.state().clear(io::IoState::noted_for(io::Interest::writable), *ready);
  }
}

Result<TcpStream> TcpStream::connect(std::string_view host_and_port) {
  auto addresses = lookup_host(host_and_port);
  if (!addresses) return failure(addresses.error());
  std::error_code last;
  for (const SocketAddr& address : *addresses) {
    auto stream = connect(address);
    if (stream) return stream;
    last = stream.error();
    if (last.category() == category()) break;  // cancelled: the other addresses would be, too
  }
  return failure(last);
}

Result<std::size_t> TcpStream::read(std::span<std::byte> buffer) noexcept {
  if (fd_ < 0) return not_open();
  if (buffer.empty()) return std::size_t{0};
  const auto call = [&](std::size_t& asked) { return sys::receive(fd_, buffer, asked, false); };
  return run_read(*registration_.shared(), fd_, {buffer.size(), Short::clears, buffer}, call);
}

Result<std::size_t> TcpStream::read_vectored(
    std::span<const std::span<std::byte>> buffers) noexcept {
  if (fd_ < 0) return not_open();
  const std::size_t total = total_size(buffers);
  if (total == 0) return std::size_t{0};
  const auto call = [&](std::size_t& asked) { return sys::receive_vectored(fd_, buffers, asked); };
  return run_read(*registration_.shared(), fd_, {total, Short::clears, {}}, call);
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

Result<std::size_t> TcpStream::peek(std::span<std::byte> buffer) noexcept {
  if (fd_ < 0) return not_open();
  if (buffer.empty()) return std::size_t{0};
  const auto call = [&](std::size_t& asked) { return sys::receive(fd_, buffer, asked, true); };
  return run_read(*registration_.shared(), fd_, {buffer.size(), Short::proves_nothing, {}}, call);
}

Result<std::size_t> TcpStream::write(std::span<const std::byte> data) noexcept {
  if (fd_ < 0) return not_open();
  if (data.empty()) return std::size_t{0};
  const auto call = [&](std::size_t& asked) { return sys::send(fd_, data, asked); };
  return run_operation(writing(registration_.shared()), data.size(), Short::clears, call);
}

Result<std::size_t> TcpStream::write_vectored(
    std::span<const std::span<const std::byte>> data) noexcept {
  if (fd_ < 0) return not_open();
  const std::size_t total = total_size(data);
  if (total == 0) return std::size_t{0};
  const auto call = [&](std::size_t& asked) { return sys::send_vectored(fd_, data, asked); };
  return run_operation(writing(registration_.shared()), total, Short::proves_nothing, call);
}

Result<void> TcpStream::write_all(std::span<const std::byte> data) noexcept {
  while (!data.empty()) {
    auto n = write(data);
    if (!n) return failure(n.error());
    data = data.subspan(*n);
  }
  return {};
}

Result<void> TcpStream::readable() noexcept {
  if (fd_ < 0) return not_open();
  ScheduledIo& shared = *registration_.shared();
  const std::uint16_t generation = shared.generation();
  const int fd = fd_;
  if (auto entered = sched::Wait(WaitKind::readable, &shared).enter(); !entered) return entered;
  if (shared.reads_by_ring()) {
    auto ready = wait_by_ring(shared, generation, fd, {});
    if (ready) {
      shared.set_drained(false);
      return {};
    }
    if (ready.error() != errc::unsupported) return failure(ready.error());
  }
  return wait_for(shared, fd, io::Interest::readable, WaitKind::readable);
}

Result<void> TcpStream::writable() noexcept {
  if (fd_ < 0) return not_open();
  return wait_for(*registration_.shared(), fd_, io::Interest::writable, WaitKind::writable);
}

Result<void> TcpStream::shutdown(Shutdown how) noexcept {
  const int mode = how == Shutdown::read ? SHUT_RD : how == Shutdown::write ? SHUT_WR : SHUT_RDWR;
  const int rc = sys::shutdown(fd_, mode);
  return rc == -ENOTCONN ? Result<void>{} : outcome(rc);
}

Result<SocketAddr> TcpStream::local_addr() const noexcept {
  sockaddr_storage raw{};
  std::size_t size = sizeof raw;
  if (const int rc = sys::local_address(fd_, &raw, size); rc < 0) return failure(system_error(rc));
  return SocketAddr::from_raw(&raw, size);
}

Result<SocketAddr> TcpStream::peer_addr() const noexcept {
  sockaddr_storage raw{};
  std::size_t size = sizeof raw;
  if (const int rc = sys::peer_address(fd_, &raw, size); rc < 0) return failure(system_error(rc));
  return SocketAddr::from_raw(&raw, size);
}

Result<void> TcpStream::set_nodelay(bool on) noexcept {
  const int value = on ? 1 : 0;
  return outcome(sys::set_option(fd_, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
}

Result<bool> TcpStream::nodelay() const noexcept {
  int value = 0;
  if (const int rc = sys::get_option(fd_, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value); rc < 0)
    return failure(system_error(rc));
  return value != 0;
}

Result<void> TcpStream::set_linger(std::optional<std::chrono::seconds> time) noexcept {
  ::linger value{};
  if (time && (time->count() < 0 || !std::in_range<int>(time->count())))
    return failure(system_error(-EINVAL));
  value.l_onoff = time ? 1 : 0;
  value.l_linger = time ? static_cast<int>(time->count()) : 0;
  return outcome(sys::set_option(fd_, SOL_SOCKET, SO_LINGER, &value, sizeof value));
}

Result<void> TcpStream::set_keepalive(bool on) noexcept {
  const int value = on ? 1 : 0;
  return outcome(sys::set_option(fd_, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
}

Result<void> TcpStream::set_send_buffer_size(std::size_t bytes) noexcept {
  if (!std::in_range<int>(bytes)) return failure(system_error(-EINVAL));
  const int value = static_cast<int>(bytes);
  return outcome(sys::set_option(fd_, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
}

Result<void> TcpStream::set_receive_buffer_size(std::size_t bytes) noexcept {
  if (!std::in_range<int>(bytes)) return failure(system_error(-EINVAL));
  const int value = static_cast<int>(bytes);
  return outcome(sys::set_option(fd_, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
}

std::error_code TcpStream::take_error() noexcept {
  int value = 0;
  if (const int rc = sys::get_option(fd_, SOL_SOCKET, SO_ERROR, &value, sizeof value); rc < 0)
    return system_error(rc);
  return {value, std::system_category()};
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
