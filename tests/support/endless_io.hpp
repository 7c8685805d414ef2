// Socket operations that wait for ever, to test what ends them. Each returns the error.
#pragma once

#include "tests/support/error_of.hpp"

#include <ramie/net.hpp>

#include <array>
#include <cstddef>
#include <system_error>
#include <vector>

namespace ramie_test {

// Nobody connects.
inline std::error_code accept_nobody() {
  auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
  return listener ? error_of(listener->accept()) : listener.error();
}

// Calls `use(stream)` with a stream whose peer is never accepted.
template <class Use>
std::error_code with_silent_peer(Use&& use) {
  auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
  if (!listener) return listener.error();
  auto stream = ramie::net::TcpStream::connect(*listener->local_addr());
  return stream ? error_of(use(*stream)) : stream.error();
}

inline std::error_code read_from_silence() {
  return with_silent_peer([](ramie::net::TcpStream& stream) {
    std::array<std::byte, 16> buffer{};
    return stream.read(buffer);
  });
}

inline std::error_code write_to_silence() {
  static const std::vector<std::byte> much(64 << 20);
  return with_silent_peer([](ramie::net::TcpStream& stream) { return stream.write_all(much); });
}

}  // namespace ramie_test
