// Socket::accept: accepts connections, and survives when the process runs out of descriptors.
#include <ramie/net/socket.hpp>

#include "io/operation.hpp"
#include "io/sys/fd.hpp"
#include "runtime/net/reserve.hpp"
#include "runtime/net/sys/socket.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/mutex.hpp"
#include "sched/base/sys.hpp"

#include <ramie/time.hpp>

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

namespace ramie::inline v0::net {

namespace {

using io::ScheduledIo;
using io::system_error;

constexpr std::chrono::milliseconds kFirstPause{5};
constexpr std::chrono::milliseconds kLongestPause{1000};
constexpr unsigned kSkipsInARow = 128;

// The connection broke before we accepted it, or a firewall refused it. The listener is fine.
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

// One descriptor that the process keeps for the time when it has no other left.
class Reserve {
 public:
  void open() noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ < 0) fd_ = sys::open_null();
  }
  // Uses the descriptor to accept one pending connection of `listener` and close it. The peer gets
  // a clean end and does not wait.
  void shed_one(int listener) noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ < 0) fd_ = sys::open_null();  // another thread took the free number last time
    if (fd_ < 0) return;
    io::sys::close(std::exchange(fd_, -1));
    sockaddr_storage raw{};
    std::size_t size = sizeof raw;
    if (const int fd = sys::accept(listener, &raw, size); fd >= 0) io::sys::close(fd);
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

// Prints a line at most once a second in the whole process.
void report_shortage(int error) noexcept {
  static constinit base::Atomic<std::int64_t> next_report{0};
  const std::int64_t now = std::chrono::nanoseconds(base::now().time_since_epoch()).count();
  std::int64_t due = next_report.load(base::kRelaxed);
  if (now < due || !next_report.compare_exchange_strong(due, now + 1'000'000'000, base::kRelaxed))
    return;
  base::warn("accept: %s; the listener pauses and goes on", base::sys::describe_error(-error));
}

bool lacks_descriptors(int error) noexcept { return error == -EMFILE || error == -ENFILE; }

bool lacks_resources(int error) noexcept {
  return lacks_descriptors(error) || error == -ENOBUFS || error == -ENOMEM;
}

bool is_shortage(const std::error_code& code) noexcept {
  return code == std::errc::not_enough_memory || code == std::errc::no_space_on_device;
}

// Pauses. Without a pause the loop would try a million times in three seconds (measured), because
// the pending connections keep the socket readable.
Result<void> survive(int listener, int error, unsigned failures) noexcept {
  if (lacks_descriptors(error)) reserve.shed_one(listener);
  report_shortage(error);
  return sleep_for(std::min(kFirstPause * (1U << std::min(failures, 8U)), kLongestPause));
}

}  // namespace

void keep_reserve() noexcept {
  static constinit base::Atomic<bool> is_kept{false};
  if (is_kept.load(base::kRelaxed)) return;
  reserve.open();
  is_kept.store(true, base::kRelaxed);
}

// One call of accept(). Another fiber may close the listener, and destroy its Socket, whenever this
// fiber waits or yields. So nothing of the Socket is used, and the operation's generation tells
// whether the slot still belongs to it.
class Socket::AcceptTurn {
 public:
  explicit AcceptTurn(ScheduledIo& io) noexcept : io_(io) {}

  Result<Accepted> run() noexcept {
    keep_reserve();
    if (auto entered = wait_.enter(); !entered) return failure(entered.error());
    if (auto taken = io_.take_permit(wait_, operation_.generation); !taken)
      return failure(taken.error());
    auto accepted = run_alone();
    io_.release_permit();
    return accepted;
  }

 private:
  // With the permit.
  Result<Accepted> run_alone() noexcept {
    for (unsigned failures = 0;;) {
      auto fd = take();
      if (!fd) return failure(fd.error());
      int error = error_;
      if (error == 0) {
        auto socket = adopt(*fd, is_tcp_);
        if (socket) return Accepted{std::move(*socket), SocketAddr::from_raw(&raw_, size_)};
        if (!is_shortage(socket.error())) return failure(socket.error());
        error = -ENOMEM;  // the kernel's limit of watched descriptors, or no memory
      }
      const bool is_skipped = concerns_one_connection(error);
      // So many in a row are not caused by single connections: a sandbox refuses the call, or a
      // network is down. The loop pauses, because that can last.
      if (!is_skipped || ++skipped_ % kSkipsInARow == 0) {
        if (!is_skipped && !lacks_resources(error)) return failure(system_error(error));
        if (auto survived = survive(listener_, error, failures++); !survived)
          return failure(survived.error());
      }
      if (auto entered = wait_.enter(); !entered) return failure(entered.error());
    }
  }

  // Returns a descriptor. If there is none, returns 0 and sets `error_` to the reason.
  Result<int> take() noexcept {
    const auto call = [this](std::size_t&) noexcept -> io::Bytes {
      error_ = 0;
      size_ = sizeof raw_;
      const int rc = sys::accept(listener_, &raw_, size_);
      if (rc >= 0 || rc == -EAGAIN) return rc;
      // The kernel takes a descriptor before it looks for a connection.
      if (lacks_descriptors(rc) && sys::is_readable(listener_) == 0) return -EAGAIN;
      error_ = rc;
      return 0;
    };
    auto fd = run_entered(wait_, operation_, 0, call);
    if (!fd) return failure(fd.error());
    return static_cast<int>(*fd);
  }

  ScheduledIo& io_;
  const io::Operation operation_{.io = io_,
                                 .interest = io::Interest::readable,
                                 .kind = sched::WaitKind::accept,
                                 .sharing = ScheduledIo::Sharing::any};
  sched::Wait wait_{operation_.kind, &io_};
  const int listener_ = io_.fd();
  const bool is_tcp_ = io_.is_drained_by_short();
  sockaddr_storage raw_{};
  std::size_t size_ = 0;
  int error_ = 0;
  unsigned skipped_ = 0;
};

Result<Socket::Accepted> Socket::accept() noexcept {
  if (!is_open()) return io::not_open();
  return AcceptTurn(ScheduledIo::of(registration_)).run();
}

}  // namespace ramie::inline v0::net
