// See driver.hpp.
#include "signal/driver.hpp"

#include "sched/current.hpp"

#include <new>
#include <utility>

namespace ramie::inline v0::signal {

Result<std::unique_ptr<Driver>> Driver::create() noexcept {
  try {
    Registry& registry = Registry::instance();
    auto listeners = std::make_shared<Listeners>();
    auto bell = handlers::Bell::create();
    if (!bell) return failure(bell.error());
    return std::unique_ptr<Driver>(new Driver(std::move(*bell), registry, std::move(listeners)));
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

Driver::Driver(handlers::Bell bell, Registry& registry,
               std::shared_ptr<Listeners> listeners) noexcept
    : bell_(std::move(bell)), registry_(registry), listeners_(std::move(listeners)) {
  registry_.add(*listeners_);
}

// A Signal may outlive its driver. It must not wait for a broadcast that never comes.
Driver::~Driver() {
  registry_.remove(*listeners_);
  listeners_->shut_down();
}

// We do not drain the eventfd: each write is a new edge for the edge-triggered epoll.
void Driver::on_ready(sched::WakeList& wakes) noexcept {
  if (sched::current_worker() != nullptr) handlers::unblock();
  registry_.broadcast(wakes);
}

}  // namespace ramie::inline v0::signal
