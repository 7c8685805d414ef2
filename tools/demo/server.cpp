// Accepts, sweeps and drains.
#include "tools/demo/server.hpp"

#include <ramie/scope.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "tools/demo/aof_open.hpp"
#include "tools/demo/http_session.hpp"
#include "tools/demo/session.hpp"

namespace demo {

using namespace std::chrono_literals;

namespace {

std::optional<ramie::net::TcpListener> bind_or_report(const std::string& where) {
  // More than the usual backlog: thousands of clients may connect in one burst.
  auto listener = ramie::net::TcpListener::bind(where, {.backlog = 4096});
  if (listener) return std::move(*listener);
  ramie::report("ramie demo: bind " + where, listener.error());
  return std::nullopt;
}

// The peer gave up, or a resource is short for a while. Any other error would repeat for ever.
bool is_passing(std::error_code error) noexcept {
  return error != std::errc::bad_file_descriptor && error != std::errc::invalid_argument &&
         error != std::errc::not_a_socket && error.category() == std::system_category();
}

template <class Session>
void accept_loop(Service& service, ramie::net::TcpListener& listener,
                 const ramie::CancellationToken& stop, std::atomic<int>& status) {
  const auto local = listener.local_addr();
  const std::string own_address = local ? local->to_string() : "?";
  ramie::Scope connections(ramie::on_failure::report);
  for (;;) {
    auto accepted = ramie::until(stop, [&] { return listener.accept(); });
    if (stop.is_canceled()) break;
    if (!accepted) {
      if (is_passing(accepted.error()) && ramie::sleep_for(10ms)) continue;
      status = ramie::report("ramie demo: accept on " + own_address, accepted.error());
      stop.cancel();
      break;
    }
    // If there is no memory for a fiber, the stream closes here, and the server goes on.
    (void)connections.spawn([&service, &own_address, peer = accepted->peer,
                             stream = std::move(accepted->stream)]() mutable {
      std::string address = peer.to_string();
      ramie::current::set_name(std::string(Session::kProtocol).append(" ").append(address));
      Session session(service, std::move(stream), std::move(address), own_address);
      session.run();
    });
  }
  connections.drain(kGrace);
}

void sweep_loop(Service& service, const ramie::CancellationToken& stop) {
  (void)ramie::until(stop, [&] {
    while (ramie::sleep_for(100ms)) service.store.sweep();
  });
}

// Until every client has left.
int serve_clients(Service& service, Listeners& listeners, const ramie::CancellationToken& stop) {
  std::atomic<int> status{0};
  ramie::Scope parts(ramie::on_failure::report);
  (void)parts.spawn({.name = "resp listener"},
                    [&] { accept_loop<RespSession>(service, listeners.resp, stop, status); });
  (void)parts.spawn({.name = "http listener"},
                    [&] { accept_loop<HttpSession>(service, listeners.http, stop, status); });
  (void)parts.spawn({.name = "sweeper"}, [&] { sweep_loop(service, stop); });
  (void)stop.wait();
  service.clients.drain();
  (void)parts.join();
  return status;
}

}  // namespace

std::optional<Listeners> bind_listeners(const Options& options) {
  auto resp = bind_or_report(address(options.host, options.port));
  if (!resp) return std::nullopt;
  auto http = bind_or_report(address(options.host, options.http_port));
  if (!http) return std::nullopt;
  return Listeners{std::move(*resp), std::move(*http)};
}

bool open_log(Service& service, const Options& options) {
  if (options.aof.empty()) return true;
  std::signal(SIGXFSZ, SIG_IGN);  // a log at the file size limit is an error, as with a full disk
  const auto fsync = options.fsync_always ? Aof::Fsync::kAlways : Aof::Fsync::kEverySecond;
  auto log = open_aof(options.aof, fsync, service.store);
  if (!log) {
    std::fprintf(stderr, "ramie demo: %s\n", log.error().c_str());
    return false;
  }
  service.log = *std::move(log);
  return true;
}

int serve(Service& service, Listeners& listeners, const ramie::CancellationToken& stop) {
  ramie::Scope logging(ramie::on_failure::report);
  if (service.log) {
    const auto started = logging.spawn({.name = "aof writer"}, [&] { service.log->run(); });
    if (!started) return ramie::report("ramie demo: aof writer", started.error());
  }
  const int status = serve_clients(service, listeners, stop);
  if (!service.log) return status;
  service.log->stop();
  (void)logging.join();
  return service.log->is_complete() ? status : 1;
}

}  // namespace demo
