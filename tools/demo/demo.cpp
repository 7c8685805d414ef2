// Runs the server until a signal, or under our own load with a table at the end.
//
//   --serve   one runtime; the first SIGTERM or SIGINT cancels the token that serve() watches
//   drive     thread 1: the server's runtime      this thread: the load's runtime, then
//             redis-benchmark, then the token is cancelled, thread 1 joined, the table printed
#include "tools/demo/demo.hpp"

#include <ramie/runtime.hpp>
#include <ramie/signal.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/demo/benchmark.hpp"
#include "tools/demo/load.hpp"
#include "tools/demo/options.hpp"
#include "tools/demo/report.hpp"
#include "tools/demo/server.hpp"

namespace demo {
namespace {

constexpr std::string_view kBackEnd = "epoll";  // the only one

int print(std::string_view text) {
  const std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  return written == text.size() && std::fflush(stdout) == 0 ? 0 : 1;
}

// Runs `body` in a new runtime. Returns 1, with a line on stderr, if it cannot build one.
template <class F>
int in_runtime(const Options& options, F&& body) {
  ramie::runtime::Builder builder;
  if (options.workers != 0) builder.workers(options.workers);
  auto runtime = builder.build();
  if (!runtime) return ramie::report("ramie demo: runtime", runtime.error());
  return runtime->block_on(std::forward<F>(body));
}

struct Addresses {
  std::string resp;
  std::string http;
};

Addresses addresses_of(const Listeners& listeners) {
  const auto resp = listeners.resp.local_addr(), http = listeners.http.local_addr();
  return {resp ? resp->to_string() : "?", http ? http->to_string() : "?"};
}

std::string announcement(const Addresses& at) {
  return "ramie demo: Redis protocol on " + at.resp + ", HTTP on http://" + at.http + "/\n";
}

int serve_until_signal(const Options& options) {
  Service service;
  service.idle_timeout = std::chrono::seconds(options.idle_timeout);
  return in_runtime(options, [&] {
    const auto stop = ramie::signal::shutdown();  // before the ports are announced
    if (!open_log(service, options)) return 1;
    auto listeners = bind_listeners(options);
    if (!listeners) return 1;
    print(announcement(addresses_of(*listeners)));
    const int status = serve(service, *listeners, stop);
    const std::uint64_t served =
        service.stats.sum(Count::kCommands) + service.stats.sum(Count::kHttpRequests);
    print("ramie demo: drained after " + with_commas(served) + " requests\n");
    return status;
  });
}

// Both ends of every connection are in this process, and the runtimes need descriptors, too.
unsigned fit_to_descriptors(unsigned connections) {
  constexpr rlim_t kOthers = 64;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const rlim_t wanted = 2 * rlim_t{connections} + kOthers;
  if (limit.rlim_cur >= wanted) return connections;
  const rlim_t soft = std::min(wanted, limit.rlim_max);
  if (soft > limit.rlim_cur) {
    std::printf("raising the soft limit of open files from %llu to %llu\n",
                static_cast<unsigned long long>(limit.rlim_cur),
                static_cast<unsigned long long>(soft));
    limit.rlim_cur = soft;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) std::perror("ramie demo: setrlimit");
  }
  if (soft >= wanted) return connections;
  const rlim_t fitting = soft > kOthers + 2 ? (soft - kOthers) / 2 : 1;
  std::printf("the hard limit leaves room for %llu of %u connections\n",
              static_cast<unsigned long long>(fitting), connections);
  return static_cast<unsigned>(fitting);
}

/// Runs the server in its own thread while this lives.
class BackgroundServer {
 public:
  explicit BackgroundServer(const Options& options)
      : thread_([this, &options] {
          status_ = in_runtime(options, [&] { return run(options); });
          if (!is_told_) bound_.set_value({});
        }) {}
  ~BackgroundServer() { (void)finish(); }
  BackgroundServer(const BackgroundServer&) = delete;
  BackgroundServer& operator=(const BackgroundServer&) = delete;

  /// The addresses are empty if it could not start; stderr says why.
  Addresses wait_bound() { return bound_.get_future().get(); }

  [[nodiscard]] int finish() {
    stop_.cancel();
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  int run(const Options& options) {
    if (!open_log(service_, options)) return 1;
    auto listeners = bind_listeners(options);
    if (!listeners) return 1;
    is_told_ = true;
    bound_.set_value(addresses_of(*listeners));
    return serve(service_, *listeners, stop_);
  }

  Service service_;
  ramie::CancellationToken stop_;
  std::promise<Addresses> bound_;
  bool is_told_ = false;  // the server's thread only
  int status_ = 1;        // read after the join
  std::thread thread_;    // last: it uses all of the above
};

Row built_in_row(const LoadResult& load, std::uint64_t switches) {
  return {.load = "built in, " + with_commas(load.connected) + " connections",
          .per_second = load.per_second(),
          .p50 = load.latency.quantile(0.5),
          .p99 = load.latency.quantile(0.99),
          .p999 = load.latency.quantile(0.999),
          .resident = resident_bytes(),
          .switches = switches};
}

// False: something failed, and stderr says what.
bool run_benchmarks(const Addresses& at, std::vector<Row>& rows) {
  constexpr BenchmarkRun kRuns[] = {{"set", 50, 1, 100000},
                                    {"get", 50, 1, 100000},
                                    {"set", 50, 16, 500000},
                                    {"get", 50, 16, 500000}};
  for (const BenchmarkRun& run : kRuns) {
    const auto row = run_redis_benchmark(at.resp, run);
    if (!row) return false;
    print("  " + row->load + ": done\n");
    rows.push_back(*row);
  }
  return true;
}

int drive(const Options& options) {
  const unsigned connections = fit_to_descriptors(options.connections);
  BackgroundServer server(options);
  const Addresses at = server.wait_bound();
  if (at.resp.empty()) return server.finish();
  print(announcement(at));

  print("driving it with " + with_commas(connections) + " connections for " +
        std::to_string(options.seconds) + " s: one SET for four GETs, no pipelining\n");
  const std::uint64_t switches = context_switches();
  const auto load = std::make_unique<LoadResult>(
      run_load({.address = at.resp, .connections = connections, .seconds = options.seconds}));
  std::vector<Row> rows = {built_in_row(*load, context_switches() - switches)};
  bool good = load->errors == 0;
  if (!good) {
    std::fprintf(stderr, "ramie demo: the load had %llu errors, the first: %s\n",
                 static_cast<unsigned long long>(load->errors), load->first_error.c_str());
  }

  if (options.redis_benchmark && has_redis_benchmark()) {
    print("and with redis-benchmark\n");
    good = run_benchmarks(at, rows) && good;
  } else if (options.redis_benchmark) {
    print("redis-benchmark is not installed (Debian: redis-tools): left out\n");
  }
  good = server.finish() == 0 && good;
  print("\n" + format_table(rows, kBackEnd));
  print("RSS and context switches are of this process: the server, and the built-in load.\n");
  return good ? 0 : 1;
}

}  // namespace

int demo_command(std::span<const std::string_view> args) {
  const auto options = parse_options(args);
  if (!options) {
    std::fprintf(stderr, "ramie demo: %s; `ramie demo --help` lists the options\n",
                 options.error().c_str());
    return 2;
  }
  if (options->help) return print(usage());
  return options->serve ? serve_until_signal(*options) : drive(*options);
}

}  // namespace demo
