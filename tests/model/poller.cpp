// See poller.hpp. The model's version of io/sys/epoll.hpp.
#include "tests/model/poller.hpp"

#include "io/sys/epoll.hpp"

#include <cerrno>
#include <mutex>
#include <utility>

namespace ramie::model {

Kernel* Kernel::current_ = nullptr;

Kernel::Kernel() { current_ = this; }
Kernel::~Kernel() { current_ = nullptr; }
Kernel& Kernel::current() { return *current_; }

void Kernel::make_ready(int fd, std::uint16_t bits) {
  const std::lock_guard lock(mutex);
  descriptors[fd].ready |= bits;
}

}  // namespace ramie::model

namespace ramie::inline v0::io::sys {

using model::Kernel;

void close(int) noexcept {}  // there are no descriptors to close

Poller::Poller(UniqueFd epoll, UniqueFd wake, std::vector<unsigned char>) noexcept
    : epoll_(std::move(epoll)), wake_(std::move(wake)), capacity_(0) {}
Poller::Poller(Poller&&) noexcept = default;
Poller::~Poller() = default;

Result<Poller> Poller::create(std::size_t) noexcept { return Poller({}, {}, {}); }

int Poller::add(int fd, Interest, std::uint64_t token) noexcept {
  const std::lock_guard lock(Kernel::current().mutex);
  Kernel::current().descriptors[fd] = {.token = token};
  return 0;
}

int Poller::remove(int fd) noexcept {
  const std::lock_guard lock(Kernel::current().mutex);
  Kernel::current().descriptors[fd] = {};
  return 0;
}

// Never sleeps: the thread that turns the driver yields.
int Poller::wait(base::Nanos, std::vector<Event>& events) noexcept {
  events.clear();
  const std::lock_guard lock(Kernel::current().mutex);
  for (Kernel::Descriptor& descriptor : Kernel::current().descriptors) {
    if (descriptor.token == 0 || descriptor.ready == 0) continue;
    events.push_back({descriptor.token, std::exchange(descriptor.ready, std::uint16_t{0})});
  }
  return 0;
}

int level_of(int fd, Interest) noexcept {
  const std::lock_guard lock(Kernel::current().mutex);
  return Kernel::current().descriptors[fd].level;
}

void Poller::wake() noexcept {}
bool Poller::is_in_forked_child() const noexcept { return false; }

}  // namespace ramie::inline v0::io::sys
