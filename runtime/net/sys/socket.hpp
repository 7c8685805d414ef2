// The socket calls, for net::Socket and its neighbours only. Each is a noinline function that
// returns -errno and cannot suspend. A test plugs a plan into base::inject, and the nth call fails.
//
// A network that is simulated replaces these functions and nothing else.
#pragma once

#include "io/sys/outcome.hpp"

#include <cstddef>
#include <span>

struct addrinfo;

namespace ramie {
inline namespace v0 {
namespace net {
namespace sys {

using io::Bytes;

int stream_socket(int family) noexcept;  // non-blocking, close-on-exec
int bind(int fd, const void* address, std::size_t size) noexcept;
int listen(int fd, int backlog) noexcept;
int accept(int fd, void* address, std::size_t& size) noexcept;  // non-blocking, close-on-exec
int connect(int fd, const void* address, std::size_t size) noexcept;
// Resets a connection: what was not acknowledged is dropped, and its memory free.
int disconnect(int fd) noexcept;
int shutdown(int fd, int how) noexcept;

// A vectored call takes the first kMaxParts parts that are not empty: it may be short anyway.
inline constexpr std::size_t kMaxParts = 64;

// `asked`, at most the size of the buffers: how many bytes to ask for. A test's plan may lower it.
Bytes receive(int fd, std::span<std::byte> buffer, std::size_t& asked, bool peek) noexcept;
Bytes receive_vectored(int fd, std::span<const std::span<std::byte>> buffers,
                       std::size_t& asked) noexcept;
Bytes send(int fd, std::span<const std::byte> data, std::size_t& asked) noexcept;  // no SIGPIPE
Bytes send_vectored(int fd, std::span<const std::span<const std::byte>> data,
                    std::size_t& asked) noexcept;

int set_option(int fd, int level, int name, const void* value, std::size_t size) noexcept;
int get_option(int fd, int level, int name, void* value, std::size_t size) noexcept;
int local_address(int fd, void* address, std::size_t& size) noexcept;
int peer_address(int fd, void* address, std::size_t& size) noexcept;
int is_readable(int fd) noexcept;                  // now: 1, 0, or -errno
int is_nonblocking(int fd) noexcept;               // 1, 0, or -errno
Bytes interface_index(const char* name) noexcept;  // or -errno
int open_null() noexcept;
// getaddrinfo(): 0 or EAI_*; with EAI_SYSTEM -errno is in `error`. Blocks its thread.
int look_up(const char* host, const char* port, const addrinfo& hints, addrinfo*& found,
            int& error) noexcept;

}  // namespace sys
}  // namespace net
}  // namespace v0
}  // namespace ramie
