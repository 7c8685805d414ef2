// The server of echo.hpp.
#include "bench/support/echo.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace bench {

namespace {

using namespace std::chrono_literals;

// Keeps the worker, as a long computation would.
void burn_for(std::chrono::microseconds time) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

void session(ramie::net::TcpStream stream, std::chrono::microseconds burn, ServerCounts& counts) {
  counts.connections.fetch_add(1, std::memory_order_relaxed);
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const auto n = stream.read(buffer);
    if (!n || *n == 0) return;
    const auto data = std::span(buffer).first(*n);
    if (burn > 0us)
      burn_for(burn * std::count(data.begin(), data.end(), static_cast<std::byte>(kBurning)));
    if (!stream.write_all(data)) return;
    counts.reads.fetch_add(1, std::memory_order_relaxed);
    counts.bytes.fetch_add(*n, std::memory_order_relaxed);
  }
}

}  // namespace

int serve_echo(ramie::net::TcpListener& listener, const ramie::CancellationToken& stop,
               std::chrono::microseconds burn, ServerCounts& counts) {
  ramie::Scope connections(ramie::on_failure::report);
  int status = 0;
  for (;;) {
    auto accepted = ramie::until(stop, [&] { return listener.accept(); });
    if (!accepted) {
      if (!stop.is_canceled()) status = ramie::report("accept", accepted.error());
      break;
    }
    (void)accepted->stream.set_nodelay(true);
    if (auto started =
            connections.spawn([stream = std::move(accepted->stream), burn, &counts]() mutable {
              session(std::move(stream), burn, counts);
            });
        !started)
      status = ramie::report("spawn", started.error());
  }
  connections.drain(0s);
  return status;
}

}  // namespace bench
