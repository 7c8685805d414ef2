// A test case that needs more than this machine has ends at once and is counted as skipped:
//
//     if (!raise_descriptor_limit(12'000)) RAMIE_SKIP("needs 12,000 descriptors");
//
// tools/tally.py counts the line and subtracts the case from those that passed. Use it on the
// test's thread or in its root fiber.
#pragma once

#include "tests/support/emulated.hpp"

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstdio>
#include <string>

namespace ramie_test {

inline void say_skipped(const std::string& reason) {
  const std::string name = Catch::getResultCapture().getCurrentTestName();
  (void)std::fprintf(stderr, "skipped: %s | %s\n", name.c_str(), reason.c_str());
  SUCCEED("skipped");
}

// Looks for IPv6 addresses, because a kernel without IPv6 may still make its sockets.
inline bool has_ipv6() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in6 local{};
  local.sin6_family = AF_INET6;
  local.sin6_addr = in6addr_loopback;
  const bool has_it = ::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0;
  ::close(fd);
  return has_it;
}

}  // namespace ramie_test

#define RAMIE_SKIP(reason)           \
  do {                               \
    ramie_test::say_skipped(reason); \
    return;                          \
  } while (false)
