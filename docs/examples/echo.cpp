// An echo server: one fiber per connection, code that looks blocking, and a clean shutdown.
//
//   ./example_echo &      printf 'hello\n' | nc -q1 127.0.0.1 7000      kill %1
#include <ramie/ramie.hpp>

#include <array>
#include <chrono>
#include <span>

using namespace std::chrono_literals;

void session(ramie::net::TcpStream stream) {
  std::array<std::byte, 4096> buffer;
  for (;;) {
    auto n = ramie::timeout(60s, [&] { return stream.read(buffer); });
    if (!n || *n == 0) return;  // an error, a silent minute, or the end of the stream
    const auto data = std::span(buffer).first(*n);
    auto written = ramie::timeout(60s, [&] { return stream.write_all(data); });
    if (!written) return;
  }
}  // closes the socket

int main() {
  return ramie::runtime::block_on([]() -> int {
    auto listener = ramie::net::TcpListener::bind("127.0.0.1:7000");
    if (!listener) return ramie::report("bind 127.0.0.1:7000", listener.error());
    const auto stop = ramie::signal::shutdown();          // SIGINT or SIGTERM cancels it
    ramie::Scope connections(ramie::on_failure::report);  // its destructor joins the fibers
    for (;;) {
      auto accepted = ramie::until(stop, [&] { return listener->accept(); });
      if (!accepted) {
        if (stop.is_canceled()) break;
        return ramie::report("accept", accepted.error());
      }
      (void)connections.spawn(session, std::move(accepted->stream));
    }
    connections.drain(5s);  // waits, then cancels those that are left
    return 0;
  });
}
