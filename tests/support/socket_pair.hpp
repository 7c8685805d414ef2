// Two connected, non-blocking Unix sockets.
#pragma once

#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>

namespace ramie_test {

struct SocketPair {
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) == 0); }
  ~SocketPair() {
    for (const int fd : fds)
      if (fd >= 0) ::close(fd);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  void send(std::size_t from) { REQUIRE(::write(fds[from], "x", 1) == 1); }

  std::array<int, 2> fds{};
};

}  // namespace ramie_test
