// See epoll.hpp.
#include "io/sys/epoll.hpp"

#include "sched/base/sys.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

namespace {

std::uint32_t flags_of(Interest interest) noexcept {
  std::uint32_t flags = EPOLLET;
  if (has(interest, Interest::readable)) flags |= EPOLLIN | EPOLLRDHUP;
  if (has(interest, Interest::writable)) flags |= EPOLLOUT;
  if (has(interest, Interest::priority)) flags |= EPOLLPRI;
  return flags;  // EPOLLERR and EPOLLHUP always come
}

std::uint8_t ready_of(std::uint32_t events) noexcept {
  unsigned ready = 0;
  if ((events & (EPOLLIN | EPOLLPRI)) != 0) ready |= Ready::kReadable;
  if ((events & EPOLLOUT) != 0) ready |= Ready::kWritable;
  if ((events & EPOLLPRI) != 0) ready |= Ready::kPriority;
  if ((events & EPOLLHUP) != 0) ready |= Ready::kReadClosed | Ready::kWriteClosed;
  if ((events & EPOLLRDHUP) != 0) ready |= Ready::kReadClosed;
  if ((events & EPOLLERR) != 0) {
    ready |= Ready::kError;
    if ((events & EPOLLOUT) != 0 || events == EPOLLERR) ready |= Ready::kWriteClosed;
  }
  return static_cast<std::uint8_t>(ready);
}

[[gnu::noinline]] int raw_wait(int epoll, epoll_event* events, int capacity, base::Nanos max_wait,
                               bool& has_pwait2) noexcept {
  if (int planned = base::inject("epoll_wait"); planned != 0) return planned;
  if (max_wait.count() <= 0) {
    const int n = ::epoll_wait(epoll, events, capacity, max_wait.count() == 0 ? 0 : -1);
    return n < 0 ? -errno : n;
  }
  if (has_pwait2) {
    timespec limit{};
    limit.tv_sec = max_wait.count() / 1'000'000'000;
    limit.tv_nsec = max_wait.count() % 1'000'000'000;
    const int n = ::epoll_pwait2(epoll, events, capacity, &limit, nullptr);
    if (n >= 0) return n;
    if (errno != ENOSYS && errno != EPERM) return -errno;  // EPERM: an old seccomp profile
    has_pwait2 = false;
  }
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(max_wait).count();
  const int n = ::epoll_wait(epoll, events, capacity,
                             static_cast<int>(std::min<std::int64_t>(millis, INT_MAX)));
  return n < 0 ? -errno : n;
}

[[gnu::noinline]] int control(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (int planned = base::inject("epoll_ctl"); planned != 0) return planned;
  return ::epoll_ctl(epoll, operation, fd, event) < 0 ? -errno : 0;
}

}  // namespace

[[gnu::noinline]] Result<Poller> Poller::create(std::size_t max_events) noexcept {
  if (int planned = base::inject("epoll_create1"); planned != 0)
    return failure(std::error_code(-planned, std::system_category()));
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return failure(std::error_code(errno, std::system_category()));
  if (int planned = base::inject("eventfd"); planned != 0)
    return failure(std::error_code(-planned, std::system_category()));
  UniqueFd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.is_open()) return failure(std::error_code(errno, std::system_category()));
  try {
    std::vector<unsigned char> buffer(max_events * sizeof(epoll_event));
    Poller poller(std::move(epoll), std::move(wake), std::move(buffer));
    if (int error = poller.add(poller.wake_.get(), Interest::readable, kWakeToken); error != 0)
      return failure(std::error_code(-error, std::system_category()));
    return poller;
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

Poller::Poller(UniqueFd epoll, UniqueFd wake, std::vector<unsigned char> buffer) noexcept
    : epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      buffer_(std::move(buffer)),
      capacity_(buffer_.size() / sizeof(epoll_event)) {}
Poller::Poller(Poller&&) noexcept = default;
Poller::~Poller() = default;

int Poller::add(int fd, Interest interest, std::uint64_t token) noexcept {
  epoll_event event{};
  event.events = flags_of(interest);
  event.data.u64 = token;
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

int Poller::remove(int fd) noexcept { return control(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

int Poller::wait(base::Nanos max_wait, std::vector<Event>& events) noexcept {
  events.clear();
  auto* raw = reinterpret_cast<epoll_event*>(buffer_.data());
  const int n = raw_wait(epoll_.get(), raw, static_cast<int>(capacity_), max_wait, has_pwait2_);
  if (n == -EINTR) return 0;
  for (int i = 0; i < n; ++i) events.push_back({raw[i].data.u64, ready_of(raw[i].events)});
  return n < 0 ? n : 0;
}

[[gnu::noinline]] void Poller::wake() noexcept {
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) >= 0 || errno != EAGAIN) return;
  std::uint64_t count = 0;  // the counter is full: empty it, then a write is an edge again
  (void)!::read(wake_.get(), &count, sizeof count);
  (void)!::write(wake_.get(), &one, sizeof one);
}

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
