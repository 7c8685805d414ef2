// Loads an echo server, closed or open loop. Without --port it starts its own server.
#include "bench/support/echo.hpp"
#include "bench/support/in_process.hpp"
#include "bench/support/options.hpp"

#include <optional>

int main(int argc, char** argv) {
  bench::LoadPlan plan;
  std::uint64_t port = 0, workers = 1, urgent = 0;
  bench::Options("echo_load: requests/s and latencies of an echo server on 127.0.0.1")
      .whole("--port", port, 0, 65535, "port of the server; 0: run a server in this process")
      .whole("--workers", workers, 1, 1024, "worker threads of that server")
      .whole("--connections", plan.connections, 1, 100'000, "open at the same time")
      .whole("--size", plan.size, 1, 1 << 20, "bytes in a message")
      .whole("--rate", plan.rate, 0, 10'000'000, "messages/s in all, open loop; 0: closed loop")
      .whole("--burners", plan.burners, 0, 1000, "connections that send B; not counted")
      .whole("--urgent", urgent, 0, 1, "1: the client runs before ordinary threads, if allowed")
      .real("--seconds", plan.seconds, 0.01, 3600, "how long to measure")
      .parse(argc, argv);
  bench::allow_many_files();
  bench::Line line("echo_load");
  std::optional<bench::InProcessServer> server;
  if (port == 0) {
    server.emplace(bench::make_runtime(workers));
    plan.server = server->address();
    line.add("workers", workers);
  } else {
    plan.server =
        ramie::or_throw(ramie::net::SocketAddr::parse("127.0.0.1:" + std::to_string(port)));
  }
  const bench::LoadResult result = bench::run_load_or_exit(plan, urgent != 0);
  line.add("server", port == 0 ? "in this process" : "another process")
      .add("connections", plan.connections)
      .add("size", plan.size)
      .add("rate", plan.rate)
      .add("per_second", result.per_second())
      .add("latency", result.latency)
      .print();
  return 0;
}
