// TcpListener: accept that survives a process without descriptors.
#include "io/handle.hpp"
#include "io/net/host_port.hpp"
#include "io/stream_io.hpp"
#include "io/sys/fd.hpp"
#include "io/sys/socket.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/mutex.hpp"
#include "sched/base/sys.hpp"

#include <ramie/net.hpp>
#include <ramie/time.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <new>

namespace ramie {
inline namespace v0 {
namespace net {

namespace {

using io::system_error;
namespace sys = io::sys;

constexpr std::chrono::milliseconds kFirstPause{5};
constexpr std::chrono::milliseconds kLongestPause{1000};
constexpr unsigned kSkipsInARow = 128;

// The connection broke before we took it, or a firewall refused it: not the listener's trouble.
bool concerns_one_connection(int error) noexcept {
  switch (-error) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EINTR: return true;
    default: return false;
  }
}

// One descriptor that the whole process keeps for the moment when it has no other.
class Reserve {
 public:
  void open() noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ < 0) fd_ = sys::open_null();
  }
  // Takes one pending connection of `listener` with it and closes that: a clean end instead of
  // silence.
  void shed_one(int listener) noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ < 0) fd_ = sys::open_null();  // somebody was quicker than we, last time
    if (fd_ < 0) return;
    sys::close(std::exchange(fd_, -1));
    sockaddr_storage raw{};
    std::size_t size = sizeof raw;
    if (const int fd = sys::accept(listener, &raw, size); fd >= 0) sys::close(fd);
    fd_ = sys::open_null();
  }

  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  base::Mutex mutex_;
  int fd_ = -1;
};
constinit Reserve reserve;

[[maybe_unused]] const bool is_whole_in_children = [] {
  const auto unlock = []() noexcept { reserve.unlock(); };
  base::sys::around_forks([]() noexcept { reserve.lock(); }, unlock, unlock);
  return true;
}();

// Says so at most once a second in the whole process.
void report_shortage(int error) noexcept {
  static constinit base::Atomic<std::int64_t> next_report{0};
  const std::int64_t now = std::chrono::nanoseconds(base::now().time_since_epoch()).count();
  std::int64_t due = next_report.load(base::kRelaxed);
  if (now < due || !next_report.compare_exchange_strong(due, now + 1'000'000'000, base::kRelaxed))
    return;
  base::warn("accept: %s; the listener pauses and goes on", base::sys::describe_error(-error));
}

bool is_shortage(const std::error_code& code) noexcept {
  return code == std::errc::not_enough_memory || code == std::errc::no_space_on_device;
}

bool lacks_descriptors(int error) noexcept { return error == -EMFILE || error == -ENFILE; }

bool lacks_resources(int error) noexcept {
  return lacks_descriptors(error) || error == -ENOBUFS || error == -ENOMEM;
}

}  // namespace

TcpListener::TcpListener(TcpListener&& other) noexcept
    : registration_(std::move(other.registration_)), fd_(std::exchange(other.fd_, -1)) {}

TcpListener& TcpListener::operator=(TcpListener&& other) noexcept {
  if (this != &other) {
    close();
    registration_ = std::move(other.registration_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

TcpListener::~TcpListener() { close(); }

void TcpListener::close() noexcept {
  if (fd_ < 0) return;
  (void)registration_.deregister();
  sys::close(std::exchange(fd_, -1));
}

Result<TcpListener> TcpListener::bind(std::string_view address,
                                      const ListenOptions& options) noexcept {
  if (const auto parts = HostPort::split(address); parts && parts->is_any())
    return bind_any(parts->number, options);
  auto parsed = SocketAddr::parse(address);
  if (parsed) return bind(*parsed, options);
  try {
    auto found = lookup_host(address);
    if (!found) return failure(found.error());
    std::error_code first;
    for (const bool is_ipv6 : {false, true}) {
      for (const SocketAddr& one : *found) {
        if (one.is_ipv6() != is_ipv6) continue;
        auto listener = bind(one, options);
        if (listener) return listener;
        if (!first) first = listener.error();
      }
    }
    return failure(first);
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

// IPv6's socket takes both families, whatever net.ipv6.bindv6only says; where there is no IPv6,
// IPv4's.
Result<TcpListener> TcpListener::bind_any(std::uint16_t port,
                                          const ListenOptions& options) noexcept {
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  auto listener = open(SocketAddr::from_raw(&six, sizeof six), options, !options.only_ipv6);
  if (listener || options.only_ipv6) return listener;
  if (listener.error() != std::errc::address_family_not_supported &&
      listener.error() != std::errc::address_not_available)
    return listener;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  return bind(SocketAddr::from_raw(&four, sizeof four), options);
}

Result<TcpListener> TcpListener::bind(const SocketAddr& address,
                                      const ListenOptions& options) noexcept {
  return open(address, options, false);
}

Result<TcpListener> TcpListener::open(const SocketAddr& address, const ListenOptions& options,
                                      bool both_families) noexcept {
  if (io::Handle::current() == nullptr) return failure(errc::no_runtime);
  const int family = address.is_ipv6() ? AF_INET6 : AF_INET;
  sys::UniqueFd fd(sys::tcp_socket(family));
  if (!fd.is_open()) return failure(system_error(fd.get()));
  const int on = 1;
  int rc = sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (rc == 0 && options.reuse_port)
    rc = sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const int only_six = both_families ? 0 : 1;
  if (rc == 0 && (options.only_ipv6 || both_families) && family == AF_INET6)
    rc = sys::set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof only_six);
  if (rc == 0) rc = sys::bind(fd.get(), address.raw(), address.raw_size());
  if (rc == 0) rc = sys::listen(fd.get(), options.backlog);
  if (rc < 0) return failure(system_error(rc));
  auto registration = io::Registration::create(fd.get(), io::Interest::readable);
  if (!registration) return failure(registration.error());
  reserve.open();
  return TcpListener(std::move(*registration), fd.release());
}

// If the listener ends while we wait, only `shared` is left.
Result<Accepted> TcpListener::accept() noexcept {
  if (fd_ < 0) return failure(std::make_error_code(std::errc::bad_file_descriptor));
  io::ScheduledIo& shared = *registration_.shared();
  if (auto taken = shared.take_permit(sched::WaitKind::accept); !taken)
    return failure(taken.error());
  auto accepted = accept_alone(shared);
  shared.release_permit();
  return accepted;
}

// The caller has entered the wait.
Result<Accepted> TcpListener::accept_alone(io::ScheduledIo& shared) noexcept {
  const io::Operation accepting{shared, io::Direction::read, sched::WaitKind::accept,
                                io::ScheduledIo::Sharing::any};
  const std::uint16_t generation = shared.generation();
  // Other fibers may have run, and ended the listener.
  const auto enter_again = [&]() -> Result<void> {
    if (auto entered = sched::Wait(accepting.kind, &shared).enter(); !entered) return entered;
    if (!shared.is_still(generation)) return failure(errc::canceled);
    return {};
  };
  unsigned skipped = 0;
  for (unsigned failures = 0;;) {
    sockaddr_storage raw{};
    std::size_t size = sizeof raw;
    int error = 0;
    const auto call = [&](std::size_t&) -> sys::Bytes {
      size = sizeof raw;
      const int rc = sys::accept(fd_, &raw, size);
      if (rc >= 0 || rc == -EAGAIN) return rc;
      // The kernel takes a descriptor first and looks for a connection then.
      if (lacks_descriptors(rc) && sys::is_readable(fd_) == 0) return -EAGAIN;
      error = rc;
      return 0;  // looked at below, outside the readiness loop
    };
    auto fd = run_entered(accepting, 0, io::Short::proves_nothing, call);
    if (!fd) return failure(fd.error());
    if (error == 0) {
      auto stream = TcpStream::from_fd(static_cast<int>(*fd));
      if (stream) return Accepted{std::move(*stream), SocketAddr::from_raw(&raw, size)};
      if (!is_shortage(stream.error())) return failure(stream.error());
      error = -ENOMEM;  // the kernel watches no more descriptors, or there is no memory
    }
    const bool is_skipped = concerns_one_connection(error);
    // So many in a row: it is no connection's trouble. A sandbox that refuses the call, a network
    // that is down: with a pause it can last.
    if (!is_skipped || ++skipped % kSkipsInARow == 0) {
      if (!is_skipped && !lacks_resources(error)) return failure(system_error(error));
      if (auto survived = survive(error, failures++); !survived) return failure(survived.error());
    }
    if (auto entered = enter_again(); !entered) return failure(entered.error());
  }
}

Result<SocketAddr> TcpListener::local_addr() const noexcept {
  sockaddr_storage raw{};
  std::size_t size = sizeof raw;
  if (const int rc = sys::local_address(fd_, &raw, size); rc < 0) return failure(system_error(rc));
  return SocketAddr::from_raw(&raw, size);
}

// Let time pass: a level of pending connections alone would make a naive loop try a million times
// in three seconds (measured).
Result<void> TcpListener::survive(int error, unsigned failures) noexcept {
  if (lacks_descriptors(error)) reserve.shed_one(fd_);
  report_shortage(error);
  return sleep_for(std::min(kFirstPause * (1U << std::min(failures, 8U)), kLongestPause));
}

}  // namespace net
}  // namespace v0
}  // namespace ramie
