// An echo server, and a client that loads it; for echo_server, echo_load and watcher.
//
//   closed loop   one fiber per connection: write, read the answer, again
//   open loop     message k of connection c is due at start + (k * connections + c) / rate. One
//                 fiber writes when it is due, another reads. A latency counts from when the
//                 message was due, so a slow server cannot hide behind a waiting client
#pragma once

#include "bench/support/report.hpp"

#include <ramie/ramie.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace bench {

/// The first byte of a message; the rest is dots.
inline constexpr char kPlain = 'm';
inline constexpr char kBurning = 'B';

struct ServerCounts {
  std::atomic<std::uint64_t> connections{0}, reads{0}, bytes{0};
};

/// Serves until `stop`. A message that begins with kBurning keeps its worker busy for `burn`.
/// Returns  0, or 1 after a message on stderr.
int serve_echo(ramie::net::TcpListener& listener, const ramie::CancellationToken& stop,
               std::chrono::microseconds burn, ServerCounts& counts);

struct LoadPlan {
  ramie::net::SocketAddr server;
  std::uint64_t connections = 50;
  std::uint64_t size = 64;    // bytes of a message
  std::uint64_t rate = 0;     // messages a second, over all connections; 0: closed loop
  std::uint64_t burners = 0;  // connections that send kBurning; not counted
  double seconds = 2;         // to measure
  double warm_up = 0.2;       // before them
};

struct LoadResult {
  demo::Histogram latency;
  std::uint64_t requests = 0;  // in the measured seconds
  std::uint64_t errors = 0;
  double seconds = 0;
  std::string first_error;

  double per_second() const { return seconds <= 0 ? 0 : static_cast<double>(requests) / seconds; }
};

/// Runs the plan in its own runtime with one worker, and blocks this thread.
/// `urgent`: that worker runs before all ordinary threads, if allowed, so that an open loop keeps
/// its times while the server uses all CPUs.
LoadResult run_load(const LoadPlan& plan, bool urgent);

/// Raises the soft limit of open files to the hard one.
void allow_many_files();

}  // namespace bench
