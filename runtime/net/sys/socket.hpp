// The socket calls, only for net::Socket and the rest of this folder. Each is a noinline function
// that returns -errno and cannot suspend. A test makes the nth call fail through base::inject.
//
// A simulated network replaces only these functions.
#pragma once

#include "io/sys/outcome.hpp"

#include <cstddef>
#include <span>

struct addrinfo;

namespace ramie::inline v0::net::sys {

using io::Bytes;

int stream_socket(int family) noexcept;  // non-blocking, close-on-exec
int bind(int fd, const void* address, std::size_t size) noexcept;
int listen(int fd, int backlog) noexcept;
int accept(int fd, void* address, std::size_t& size) noexcept;  // non-blocking, close-on-exec
int connect(int fd, const void* address, std::size_t size) noexcept;
// Resets a connection. The kernel drops what was not acknowledged and releases its memory.
int disconnect(int fd) noexcept;
int shutdown(int fd, int how) noexcept;

// A vectored call takes at most kMaxParts non-empty parts; callers expect short counts.
inline constexpr std::size_t kMaxParts = 64;

// `asked` is the number of bytes to ask for, at most the size of the buffers. A test may lower it.
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
int is_readable(int fd) noexcept;                  // 1, 0, or -errno; does not wait
int is_nonblocking(int fd) noexcept;               // 1, 0, or -errno
Bytes interface_index(const char* name) noexcept;  // or -errno
int open_null() noexcept;
// getaddrinfo(). Returns 0 or EAI_*; for EAI_SYSTEM `error` is -errno. Blocks its thread.
int look_up(const char* host, const char* port, const addrinfo& hints, addrinfo*& found,
            int& error) noexcept;

}  // namespace ramie::inline v0::net::sys
