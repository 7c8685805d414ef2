// Only the echo server: serves until SIGTERM or SIGINT, then prints its costs.
#include "bench/support/echo.hpp"
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <cstdio>

int main(int argc, char** argv) {
  std::uint64_t workers = 1, port = 0, burn = 0;
  bench::Options("echo_server: sends back what it receives; prints its costs when it stops")
      .whole("--port", port, 0, 65535, "on 127.0.0.1; 0: a free port, printed on stderr")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .whole("--burn-us", burn, 0, 1'000'000, "CPU time for a message that begins with B")
      .parse(argc, argv);
  bench::allow_many_files();
  const auto runtime = bench::make_runtime(workers);
  return runtime.block_on([&] {
    const std::string where = "127.0.0.1:" + std::to_string(port);
    auto listener = ramie::net::TcpListener::bind(where, {.backlog = 4096});
    if (!listener) return ramie::report("echo_server: bind " + where, listener.error());
    const auto stop = ramie::signal::shutdown();
    const auto address = ramie::or_throw(listener->local_addr());
    (void)std::fprintf(stderr, "echo_server: serving on %s\n", address.to_string().c_str());
    bench::Line line("echo_server");
    const double cpu = bench::own_cpu_seconds();
    bench::ServerCounts counts;
    const int status = bench::serve_echo(*listener, stop, std::chrono::microseconds(burn), counts);
    const auto metrics = runtime.metrics();
    const double messages = static_cast<double>(std::max<std::uint64_t>(1, counts.reads.load()));
    line.add("workers", workers)
        .add("connections", counts.connections.load())
        .add("messages", counts.reads.load())
        .add("cpu_us_per_message", (bench::own_cpu_seconds() - cpu) * 1e6 / messages)
        .add("driver_turns", metrics.polls)
        .add("parks", metrics.parks)
        .add("watches", metrics.watches)
        .add("wakes", metrics.wakes)
        .add("steals", metrics.steals)
        .add("uring_started", metrics.uring_started)
        .print();
    return status;
  });
}
