// What a runtime owns of the signal extension. It is made after io::Handle and destroyed before it.
#pragma once

#include "sched/env.hpp"
#include "signal/driver.hpp"

#include <memory>

namespace ramie::inline v0 {

namespace io {
class Handle;
}

namespace signal {

class Handle : public sched::EnvPart {
 public:
  static constexpr Place kPlace = Place::signals;

  // Call it before the workers start. Errors: those of eventfd and epoll; not_enough_memory;
  // too_many_files_open if there are handlers::kMaxBells runtimes already.
  static Result<std::unique_ptr<Handle>> create(io::Handle& io) noexcept;

  // The handle of the current runtime, or null.
  static Handle* current() noexcept;

  // Ends every wait with `shutting_down`, now and later.
  void shut_down() noexcept { driver_->shut_down(); }

  const std::shared_ptr<Listeners>& listeners() const noexcept { return driver_->listeners(); }

 private:
  explicit Handle(std::unique_ptr<Driver> driver) noexcept : driver_(std::move(driver)) {}

  std::unique_ptr<Driver> driver_;
};

}  // namespace signal
}  // namespace ramie::inline v0
