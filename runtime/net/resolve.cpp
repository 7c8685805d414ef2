// Name look-up: getaddrinfo on a thread that nobody has to wait for, because NSS plug-ins are
// arbitrary code and may hang.
#include "runtime/net/host_port.hpp"
#include "runtime/net/sys/socket.hpp"
#include "sched/blocking/detached.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <ramie/net.hpp>

#include <netdb.h>
#include <sys/socket.h>
#include <memory>
#include <new>
#include <utility>

namespace ramie::inline v0::net {

namespace {

std::error_code code_of(int rc, int system_error) noexcept {
  switch (rc) {
    case EAI_SYSTEM: return {system_error, std::system_category()};
    case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
    case EAI_AGAIN:
    case EAI_FAIL: return errc::resolver_failed;
    case EAI_SERVICE: return errc::invalid_port;
    default: return errc::host_not_found;
  }
}

Result<std::vector<SocketAddr>> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int error = 0;
  const int rc = sys::look_up(host.c_str(), port.c_str(), hints, found, error);
  if (rc != 0) return failure(code_of(rc, -error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  std::vector<SocketAddr> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    addresses.push_back(SocketAddr::from_raw(one->ai_addr, one->ai_addrlen));
  if (addresses.empty()) return failure(errc::host_not_found);
  return addresses;
}

class Lookup final : public sched::DetachedCall {
 public:
  Lookup(std::string_view host, std::string_view port) : host_(host), port_(port) {}

  void run() noexcept override {
    try {
      found_ = resolve(host_, port_);
    } catch (const std::bad_alloc&) {
      found_ = failure(std::make_error_code(std::errc::not_enough_memory));
    }
  }
  std::string describe() const override { return host_; }

  // Call this after run().
  Result<std::vector<SocketAddr>> take() noexcept { return std::move(found_); }

 private:
  const std::string host_;
  const std::string port_;
  Result<std::vector<SocketAddr>> found_;
};

}  // namespace

Result<std::vector<SocketAddr>> lookup_host(std::string_view host_and_port) {
  const auto number = SocketAddr::parse(host_and_port);
  if (number) return std::vector{*number};
  const auto parts = HostPort::split(host_and_port);
  if (!parts || !parts->is_name()) return failure(number.error());
  const sched::Scheduler* scheduler = sched::current_scheduler();
  if (scheduler == nullptr) return failure(errc::no_runtime);
  if (scheduler->is_shutting_down()) return failure(errc::shutting_down);
  const std::unique_ptr<Lookup, Lookup::Release> lookup(new Lookup(parts->host, parts->port));
  if (auto done = sched::DetachedCalls::of_process().perform(*lookup); !done)
    return failure(done.error());
  return lookup->take();
}

}  // namespace ramie::inline v0::net
