// An echo server in its own runtime in this process. So a benchmark needs no other program, and one
// run can compare two servers.
#pragma once

#include "bench/support/echo.hpp"
#include "bench/support/measure.hpp"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bench {

class InProcessServer {
 public:
  explicit InProcessServer(ramie::runtime::Runtime runtime,
                           std::chrono::microseconds burn = std::chrono::microseconds(0))
      : runtime_(std::move(runtime)) {
    const auto entered = runtime_.enter();
    listener_ = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0", {.backlog = 4096}));
    serving_ = ramie::spawn([this, burn] { return serve_echo(listener_, stop_, burn, counts_); });
  }
  ~InProcessServer() {
    stop_.cancel();
    (void)serving_.join();
  }
  InProcessServer(const InProcessServer&) = delete;
  InProcessServer& operator=(const InProcessServer&) = delete;

  ramie::net::SocketAddr address() const { return ramie::or_throw(listener_.local_addr()); }
  ramie::runtime::Metrics metrics() const { return runtime_.metrics(); }

 private:
  ramie::runtime::Runtime runtime_;
  ramie::net::TcpListener listener_;
  ramie::CancellationToken stop_;
  ServerCounts counts_;
  ramie::JoinHandle<int> serving_;
};

/// Returns the result, or ends the program with status 1 if there were errors.
inline LoadResult run_load_or_exit(const LoadPlan& plan, bool urgent) {
  LoadResult result = run_load(plan, urgent);
  if (result.errors == 0) return result;
  (void)std::fprintf(stderr, "%llu connections failed; the first: %s\n",
                     static_cast<unsigned long long>(result.errors), result.first_error.c_str());
  std::exit(1);
}

}  // namespace bench
