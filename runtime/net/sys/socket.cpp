// See socket.hpp.
#include "runtime/net/sys/socket.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/sys.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>

namespace ramie::inline v0::net::sys {

using io::sys::outcome;

namespace {

// Takes the first `bytes` of the parts. Leaves out empty parts: a call with only those would look
// like the end of the stream.
template <class Part>
std::size_t fill(std::array<iovec, kMaxParts>& vector, std::span<const Part> parts,
                 std::size_t bytes) noexcept {
  std::size_t n = 0;
  for (const Part& part : parts) {
    if (part.empty()) continue;
    if (n == kMaxParts || bytes == 0) break;
    const std::size_t size = std::min(part.size(), bytes);
    vector[n++] = {const_cast<std::byte*>(part.data()), size};
    bytes -= size;
  }
  return n;
}

}  // namespace

[[gnu::noinline]] int stream_socket(int family) noexcept {
  if (int planned = base::inject("socket"); planned != 0) return planned;
  return static_cast<int>(outcome(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
}

[[gnu::noinline]] int bind(int fd, const void* address, std::size_t size) noexcept {
  if (int planned = base::inject("bind"); planned != 0) return planned;
  return static_cast<int>(
      outcome(::bind(fd, static_cast<const sockaddr*>(address), static_cast<socklen_t>(size))));
}

[[gnu::noinline]] int listen(int fd, int backlog) noexcept {
  if (int planned = base::inject("listen"); planned != 0) return planned;
  return static_cast<int>(outcome(::listen(fd, backlog)));
}

[[gnu::noinline]] int accept(int fd, void* address, std::size_t& size) noexcept {
  if (int planned = base::inject("accept4"); planned != 0) return planned;
  auto length = static_cast<socklen_t>(size);
  const int rc =
      ::accept4(fd, static_cast<sockaddr*>(address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  size = length;
  return static_cast<int>(outcome(rc));
}

[[gnu::noinline]] int disconnect(int fd) noexcept {
  if (int planned = base::inject("connect"); planned != 0) return planned;
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  return static_cast<int>(outcome(::connect(fd, &nowhere, sizeof nowhere)));
}

[[gnu::noinline]] int connect(int fd, const void* address, std::size_t size) noexcept {
  if (int planned = base::inject("connect"); planned != 0) return planned;
  return static_cast<int>(
      outcome(::connect(fd, static_cast<const sockaddr*>(address), static_cast<socklen_t>(size))));
}

[[gnu::noinline]] int shutdown(int fd, int how) noexcept {
  if (int planned = base::inject("shutdown"); planned != 0) return planned;
  return static_cast<int>(outcome(::shutdown(fd, how)));
}

[[gnu::noinline]] Bytes receive(int fd, std::span<std::byte> buffer, std::size_t& asked,
                                bool peek) noexcept {
  if (int planned = base::inject("recv", asked); planned != 0) return planned;
  return outcome(::recv(fd, buffer.data(), asked, peek ? MSG_PEEK : 0));
}

[[gnu::noinline]] Bytes receive_vectored(int fd, std::span<const std::span<std::byte>> buffers,
                                         std::size_t& asked) noexcept {
  if (int planned = base::inject("recvmsg", asked); planned != 0) return planned;
  std::array<iovec, kMaxParts> vector;
  msghdr message{};
  message.msg_iovlen = fill(vector, buffers, asked);
  message.msg_iov = vector.data();
  return outcome(::recvmsg(fd, &message, 0));
}

[[gnu::noinline]] Bytes send(int fd, std::span<const std::byte> data, std::size_t& asked) noexcept {
  if (int planned = base::inject("send", asked); planned != 0) return planned;
  return outcome(::send(fd, data.data(), asked, MSG_NOSIGNAL));
}

[[gnu::noinline]] Bytes send_vectored(int fd, std::span<const std::span<const std::byte>> data,
                                      std::size_t& asked) noexcept {
  if (int planned = base::inject("sendmsg", asked); planned != 0) return planned;
  std::array<iovec, kMaxParts> vector;
  msghdr message{};
  message.msg_iovlen = fill(vector, data, asked);
  message.msg_iov = vector.data();
  return outcome(::sendmsg(fd, &message, MSG_NOSIGNAL));
}

[[gnu::noinline]] int set_option(int fd, int level, int name, const void* value,
                                 std::size_t size) noexcept {
  if (int planned = base::inject("setsockopt"); planned != 0) return planned;
  return static_cast<int>(
      outcome(::setsockopt(fd, level, name, value, static_cast<socklen_t>(size))));
}

[[gnu::noinline]] int get_option(int fd, int level, int name, void* value,
                                 std::size_t size) noexcept {
  if (int planned = base::inject("getsockopt"); planned != 0) return planned;
  auto length = static_cast<socklen_t>(size);
  return static_cast<int>(outcome(::getsockopt(fd, level, name, value, &length)));
}

[[gnu::noinline]] int local_address(int fd, void* address, std::size_t& size) noexcept {
  if (int planned = base::inject("getsockname"); planned != 0) return planned;
  auto length = static_cast<socklen_t>(size);
  const int rc = ::getsockname(fd, static_cast<sockaddr*>(address), &length);
  size = length;
  return static_cast<int>(outcome(rc));
}

[[gnu::noinline]] int peer_address(int fd, void* address, std::size_t& size) noexcept {
  if (int planned = base::inject("getpeername"); planned != 0) return planned;
  auto length = static_cast<socklen_t>(size);
  const int rc = ::getpeername(fd, static_cast<sockaddr*>(address), &length);
  size = length;
  return static_cast<int>(outcome(rc));
}

[[gnu::noinline]] int is_readable(int fd) noexcept {
  if (int planned = base::inject("poll"); planned != 0) return planned;
  pollfd one{fd, POLLIN, 0};
  return static_cast<int>(outcome(::poll(&one, 1, 0)));
}

[[gnu::noinline]] int is_nonblocking(int fd) noexcept {
  if (int planned = base::inject("fcntl"); planned != 0) return planned;
  const auto flags = static_cast<int>(outcome(::fcntl(fd, F_GETFL)));
  if (flags < 0) return flags;
  return (flags & O_NONBLOCK) != 0 ? 1 : 0;
}

[[gnu::noinline]] Bytes interface_index(const char* name) noexcept {
  if (int planned = base::inject("if_nametoindex"); planned != 0) return planned;
  const unsigned index = ::if_nametoindex(name);
  if (index != 0) return Bytes{index};
  const Bytes error = outcome(-1);
  if (error != -ENOENT) return error;
  // glibc got no socket to ask with, and does not return the reason.
  const Bytes probe = outcome(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (probe < 0) return probe;
  (void)::close(static_cast<int>(probe));
  return error;
}

[[gnu::noinline]] int open_null() noexcept {
  if (int planned = base::inject("open"); planned != 0) return planned;
  return static_cast<int>(outcome(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
}

[[gnu::noinline]] int look_up(const char* host, const char* port, const addrinfo& hints,
                              addrinfo*& found, int& error) noexcept {
  error = base::inject("getaddrinfo");
  if (error != 0) return EAI_SYSTEM;
  const int rc = ::getaddrinfo(host, port, &hints, &found);
  if (rc == EAI_SYSTEM) error = static_cast<int>(outcome(-1));
  return rc;
}

}  // namespace ramie::inline v0::net::sys
