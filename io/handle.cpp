// See handle.hpp.
#include "io/handle.hpp"

#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <new>

namespace ramie::inline v0::io {

std::string describe_wait(sched::WaitKind kind, const void* object) {
  switch (kind) {
    case sched::WaitKind::readable:
    case sched::WaitKind::writable:
    case sched::WaitKind::io:
    case sched::WaitKind::accept:
    case sched::WaitKind::connect: break;
    default: return {};
  }
  const auto& io = *static_cast<const ScheduledIo*>(object);
  return "descriptor " + std::to_string(io.fd());
}

Result<std::unique_ptr<Handle>> Handle::create(std::size_t shards) noexcept {
  try {
    std::unique_ptr<Handle> handle(new Handle);
    for (std::size_t i = 0; i < shards; ++i) {
      auto driver = Driver::create();
      if (!driver) return failure(driver.error());
      handle->drivers_.push_back(std::move(*driver));
    }
    return handle;
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

Handle* Handle::current() noexcept {
  sched::Scheduler* scheduler = sched::current_scheduler();
  return scheduler == nullptr ? nullptr : scheduler->env.find<Handle>();
}

Result<ScheduledIo*> Handle::add_source(int fd, Interest interest) noexcept {
  const std::size_t shard =
      drivers_.size() == 1 ? 0 : next_.fetch_add(1, base::kRelaxed) % drivers_.size();
  return drivers_[shard]->add_source(fd, interest);
}

Result<void> Handle::deregister_source(ScheduledIo& io) noexcept {
  return io.driver().deregister_source(io);
}

Result<void> Handle::add_extension(Extension& extension, int fd) noexcept {
  return drivers_.front()->add_extension(extension, fd);
}

void Handle::unpark() noexcept {
  for (auto& driver : drivers_) driver->unpark();
}

void Handle::shut_down() noexcept {
  for (auto& driver : drivers_) driver->shut_down();
}

std::vector<sched::Driver*> Handle::as_shards() const {
  std::vector<sched::Driver*> shards;
  for (const auto& driver : drivers_) shards.push_back(driver.get());
  return shards;
}

}  // namespace ramie::inline v0::io
