// See handle.hpp.
#include "signal/handle.hpp"

#include "io/handle.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <new>

namespace ramie::inline v0::signal {

Result<std::unique_ptr<Handle>> Handle::create(io::Handle& io) noexcept {
  auto driver = Driver::create();
  if (!driver) return failure(driver.error());
  std::unique_ptr<Handle> handle(new (std::nothrow) Handle(std::move(*driver)));
  if (!handle) return failure(std::make_error_code(std::errc::not_enough_memory));
  Driver& extension = *handle->driver_;
  if (auto added = io.add_extension(extension, extension.fd()); !added)
    return failure(added.error());
  return handle;
}

Handle* Handle::current() noexcept {
  sched::Scheduler* scheduler = sched::current_scheduler();
  return scheduler == nullptr ? nullptr : scheduler->env.find<Handle>();
}

}  // namespace ramie::inline v0::signal
