// What a runtime owns, in the order in which it is built; it ends in the reverse order.
//
//   io::Handle (drivers) -> signal::Handle, uring::Handle (extensions of them) -> Scheduler
//   (workers that park on them)
#pragma once

#include "io/handle.hpp"
#include "runtime/config.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"
#include "signal/handle.hpp"
#include "uring/handle.hpp"

#include <ramie/runtime.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace runtime {

class RuntimeState : public std::enable_shared_from_this<RuntimeState> {
 public:
  // What the Builder has that Config has not.
  struct Hooks {
    std::string thread_name = "ramie";
    std::function<void()> on_thread_start;
    std::function<void()> on_thread_stop;
    bool is_process_wide = true;
  };

  static Result<std::shared_ptr<RuntimeState>> create(const Config& config, const Hooks& hooks);
  ~RuntimeState();

  // Null once the runtime has ended, and in a forked child.
  sched::Scheduler* scheduler() const noexcept {
    return is_ended_.load(base::kAcquire) || is_parents() ? nullptr : scheduler_.get();
  }
  // We are a copy in a forked child.
  bool is_parents() const noexcept { return fork_number_ != sched::fork_number(); }
  const Config& config() const noexcept { return config_; }
  Metrics metrics() const;
  std::vector<std::string> shut_down(std::chrono::nanoseconds deadline);
  // With the configured deadline; stragglers are named on stderr.
  void end();

 private:
  explicit RuntimeState(const Config& config)
      : config_(config), fork_number_(sched::fork_number()) {}
  void leave_parts() noexcept;

  const Config config_;
  const std::uint32_t fork_number_;
  std::unique_ptr<io::Handle> io_;
  std::unique_ptr<signal::Handle> signals_;
  std::unique_ptr<uring::Handle> uring_;
  sched::Scheduler::Owner scheduler_;
  base::Atomic<bool> is_ended_{true};       // until all parts run
  std::shared_ptr<RuntimeState> leaked_self_;  // stragglers still find us through their scheduler
};

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
