// See epoll.hpp.
#include "io/sys/epoll.hpp"

#include "io/io_state.hpp"
#include "io/sys/event_fd.hpp"
#include "io/sys/outcome.hpp"
#include "sched/base/sys.hpp"
#include "sched/fork.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

namespace ramie::inline v0::io::sys {

namespace {

std::uint32_t flags_of(Interest interest) noexcept {
  std::uint32_t flags = EPOLLET;
  if (has(interest, Interest::readable)) flags |= EPOLLIN | EPOLLRDHUP;
  if (has(interest, Interest::writable)) flags |= EPOLLOUT;
  if (has(interest, Interest::priority)) flags |= EPOLLPRI;
  return flags;  // the kernel always reports EPOLLERR and EPOLLHUP
}

// HUP and ERR are only hints (io_state.hpp). They wake every waiter that they may concern, and its
// call finds out what happened.
std::uint16_t ready_of(std::uint32_t events) noexcept {
  unsigned ready = 0;
  if ((events & (EPOLLIN | EPOLLPRI)) != 0) ready |= IoState::kReadable;
  if ((events & EPOLLOUT) != 0) ready |= IoState::kWritable;
  if ((events & EPOLLPRI) != 0) ready |= IoState::kPriority;
  if ((events & (EPOLLHUP | EPOLLRDHUP)) != 0)
    ready |= IoState::kReadClosed | IoState::kPriorityClosed;
  if ((events & EPOLLHUP) != 0) ready |= IoState::kWriteClosed;
  if ((events & EPOLLERR) != 0)
    ready |= IoState::kReadable | IoState::kWritable | IoState::kError | IoState::kReadNews |
             IoState::kWriteNews | IoState::kErrorNews;
  return static_cast<std::uint16_t>(ready);
}

int or_error(int rc) noexcept { return rc < 0 ? -errno : rc; }

// A sandbox may allow only one of the two calls; some architectures have no epoll_wait.
int wait_millis(int epoll, epoll_event* events, int capacity, int millis) noexcept {
  if (int planned = base::inject("epoll_wait"); planned != 0) return planned;
  const int n = or_error(::epoll_wait(epoll, events, capacity, millis));
  return is_denied(n) ? or_error(::epoll_pwait(epoll, events, capacity, millis, nullptr)) : n;
}

[[gnu::noinline]] int raw_wait(int epoll, epoll_event* events, int capacity, base::Nanos max_wait,
                               bool& has_pwait2) noexcept {
  if (max_wait.count() <= 0)
    return wait_millis(epoll, events, capacity, max_wait.count() == 0 ? 0 : -1);
  if (has_pwait2) {
    timespec limit{};
    limit.tv_sec = max_wait.count() / 1'000'000'000;
    limit.tv_nsec = max_wait.count() % 1'000'000'000;
    int n = base::inject("epoll_pwait2");
    if (n == 0) n = or_error(::epoll_pwait2(epoll, events, capacity, &limit, nullptr));
    if (!is_denied(n)) return n;
    has_pwait2 = false;
  }
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(max_wait).count();
  return wait_millis(epoll, events, capacity,
                     static_cast<int>(std::min<std::int64_t>(millis, INT_MAX)));
}

[[gnu::noinline]] int create_epoll() noexcept {
  if (int planned = base::inject("epoll_create1"); planned != 0) return planned;
  return or_error(::epoll_create1(EPOLL_CLOEXEC));
}

[[gnu::noinline]] int control(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (int planned = base::inject("epoll_ctl"); planned != 0) return planned;
  return or_error(::epoll_ctl(epoll, operation, fd, event));
}

}  // namespace

[[gnu::noinline]] int level_of(int fd, Interest interest) noexcept {
  static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI &&
                EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP);
  if (int planned = base::inject("poll"); planned != 0) return planned;
  pollfd one{fd, static_cast<short>(flags_of(interest) & ~std::uint32_t{EPOLLET}), 0};
  if (const int rc = or_error(::poll(&one, 1, 0)); rc < 0) return rc;
  if ((one.revents & POLLNVAL) != 0) return -EBADF;
  return ready_of(static_cast<std::uint32_t>(one.revents) & ~std::uint32_t{EPOLLERR});
}

[[gnu::noinline]] Result<Poller> Poller::create(std::size_t max_events) noexcept {
  UniqueFd epoll(create_epoll());
  if (!epoll.is_open()) return failure(std::error_code(-epoll.get(), std::system_category()));
  UniqueFd wake(open_event());
  if (!wake.is_open()) return failure(std::error_code(-wake.get(), std::system_category()));
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
      capacity_(buffer_.size() / sizeof(epoll_event)),
      fork_number_(sched::fork_number()) {}
Poller::Poller(Poller&&) noexcept = default;
Poller::~Poller() = default;

bool Poller::is_in_forked_child() const noexcept { return fork_number_ != sched::fork_number(); }

int Poller::add(int fd, Interest interest, std::uint64_t token) noexcept {
  if (is_in_forked_child()) return -ENODEV;
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

void Poller::wake() noexcept { ring(wake_.get()); }

}  // namespace ramie::inline v0::io::sys
