// Delivers signals in one runtime. The signal handler writes this driver's eventfd, its "bell",
// which is in the runtime's epoll. The driver then broadcasts the pending signals to all runtimes.
#pragma once

#include "io/extension.hpp"
#include "signal/handlers.hpp"
#include "signal/registry.hpp"

#include <ramie/result.hpp>

#include <memory>

namespace ramie::inline v0::signal {

class Driver final : public io::Extension {
 public:
  static Result<std::unique_ptr<Driver>> create() noexcept;
  ~Driver() override;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  int fd() const noexcept { return bell_.fd(); }
  const std::shared_ptr<Listeners>& listeners() const noexcept { return listeners_; }

  void on_ready(sched::WakeList& wakes) noexcept override;
  void shut_down() noexcept override { listeners_->shut_down(); }

 private:
  Driver(handlers::Bell bell, Registry& registry, std::shared_ptr<Listeners> listeners) noexcept;

  handlers::Bell bell_;
  Registry& registry_;
  const std::shared_ptr<Listeners> listeners_;
};

}  // namespace ramie::inline v0::signal
