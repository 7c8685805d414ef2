// See driver.hpp.
#include "io/driver.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"

#include <cerrno>
#include <new>

namespace ramie::inline v0::io {

namespace {

void count(base::Atomic<std::uint64_t>& counter, std::uint64_t n = 1) noexcept {
  counter.fetch_add(n, base::kRelaxed);
}

}  // namespace

Result<Driver::Owner> Driver::create() noexcept {
  auto poller = sys::Poller::create(kMaxEvents);
  if (!poller) return failure(poller.error());
  try {
    return Owner(new Driver(std::move(*poller)));
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

void Driver::turn(base::Nanos max_wait, sched::FiberList& out) noexcept {
  registrations_.release_pending();
  const int error = poller_.wait(max_wait, events_);
  if (error != 0) survive(error);
  count(metrics_.turns);
  if (events_.empty()) {
    count(metrics_.empty_turns);
    return;
  }
  sched::WakeList wakes;
  for (const sys::Event& event : events_) dispatch(event, wakes);
  out.append(wakes.fibers());
}

// Without its epoll a runtime's sockets would wait for ever without a message. An error that may
// pass is retried after a pause, so the worker does not spin.
void Driver::survive(int error) noexcept {
  const char* reason = base::sys::describe_error(-error);
  if (error == -EBADF || error == -EINVAL || error == -EFAULT)
    base::fatal(
        "the runtime's epoll failed (%s): did the program close a descriptor that it does not own, "
        "or overwrite one with dup2?",
        reason);
  if (error == -EPERM || error == -ENOSYS)
    base::fatal("a sandbox denies epoll_wait and epoll_pwait (%s): allow one of them", reason);
  if (!std::exchange(has_failed_, true))
    base::warn("the driver's epoll failed (%s): the runtime tries again every millisecond", reason);
  const std::uint32_t nobody = 0;
  (void)base::sys::futex_wait(&nobody, 0, std::chrono::milliseconds(1));
}

void Driver::dispatch(const sys::Event& event, sched::WakeList& wakes) noexcept {
  if (event.token == sys::Poller::kWakeToken) return;
  if (event.token <= kMaxExtensions) {
    extensions_[event.token]->on_ready(wakes);
    return;
  }
  std::uint16_t generation = 0;
  ScheduledIo* io = ScheduledIo::from_token(event.token, generation);
  if (io->generation() != generation) {
    count(metrics_.stale);
    return;
  }
  count(metrics_.ready);
  io->publish(event.ready, wakes);
}

void Driver::unpark() noexcept {
  count(metrics_.unparks);
  poller_.wake();
}

void Driver::shut_down() noexcept {
  registrations_.shut_down();
  for (std::size_t i = 1; i <= extension_count_; ++i) extensions_[i]->shut_down();
}

Result<ScheduledIo*> Driver::add_source(int fd, Interest interest) noexcept {
  auto io = registrations_.allocate(*this, fd);
  if (!io) return io;
  // Outside the set's lock, because epoll_ctl may take long.
  if (const int error = poller_.add(fd, interest, (*io)->token()); error != 0) {
    registrations_.remove(**io);
    if (error == -EEXIST) return failure(errc::already_registered);
    return failure(system_error(error));
  }
  count(metrics_.registered);
  references_.fetch_add(1, base::kRelaxed);
  return io;
}

// Deregisters even if the kernel no longer knows the descriptor because it was closed first.
Result<void> Driver::deregister_source(ScheduledIo& io) noexcept {
  if (poller_.is_in_forked_child()) return {};  // sched/fork.hpp
  const int error = poller_.remove(io.fd());
  forget(io);
  if (error != 0 && error != -ENOENT && error != -EBADF) return failure(system_error(error));
  return {};
}

void Driver::forget(ScheduledIo& io) noexcept {
  count(metrics_.deregistered);
  if (registrations_.deregister(io)) unpark();
  drop_reference();
}

void Driver::retire() noexcept { drop_reference(); }

void Driver::drop_reference() noexcept {
  if (references_.fetch_sub(1, base::kAcqRel) == 1) delete this;
}

Result<void> Driver::add_extension(Extension& extension, int fd) noexcept {
  RAMIE_CHECK(extension_count_ < kMaxExtensions, "too many driver extensions");
  const int error = poller_.add(fd, Interest::readable, extension_count_ + 1);
  if (error != 0) return failure(system_error(error));
  extensions_[++extension_count_] = &extension;
  return {};
}

}  // namespace ramie::inline v0::io
