// What a runtime owns, in the order in which it is built; it ends in the reverse order.
//
//   io::Handle (drivers) -> signal::Handle, uring::Handle (extensions of them) -> Scheduler
//   (workers that park on them)
//
// Calls from outside during or after an end: Handles and EnterGuards share this object, and the
// parts live as long as it does, so a call always finds the parts. shut_down() moves and destroys
// nothing; the scheduler refuses what must not begin any more (`is_shutting_down`). So no call can
// see half of a runtime, and no lock is needed. Rejected: a count of the calls that are inside; an
// end would have to wait for it.
#pragma once

#include "io/handle.hpp"
#include "runtime/config.hpp"
#include "sched/base/thread.hpp"
#include "sched/fork.hpp"
#include "sched/scheduler.hpp"
#include "signal/handle.hpp"
#include "uring/handle.hpp"

#include <ramie/runtime.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace ramie::inline v0::runtime {

class RuntimeState : public std::enable_shared_from_this<RuntimeState>, public sched::EnvPart {
 public:
  static constexpr Place kPlace = Place::runtime;

  // The settings of a Builder that are not in Config.
  struct Hooks {
    std::string thread_name = "ramie";
    std::function<void()> on_thread_start;
    std::function<void()> on_thread_stop;
    bool is_process_wide = true;
  };

  static Result<std::shared_ptr<RuntimeState>> create(const Config& config, const Hooks& hooks);
  ~RuntimeState();

  // False after its end has begun, and in a forked child.
  bool is_running() const noexcept {
    return !is_ended_.load(base::kAcquire) && !is_in_forked_child();
  }
  // Null in a forked child. After its end the scheduler refuses new work.
  sched::Scheduler* scheduler() const noexcept {
    return is_in_forked_child() ? nullptr : scheduler_.get();
  }
  // Whether this is a copy in a forked child.
  bool is_in_forked_child() const noexcept { return fork_number_ != sched::fork_number(); }
  const Config& config() const noexcept { return config_; }
  // After the end the last figures. In a forked child all 0, because a lock may be held for ever.
  Metrics metrics() const;
  // A second call waits for the first and returns nothing.
  std::vector<std::string> shut_down(std::chrono::nanoseconds deadline);
  // Shuts down with the configured deadline and names the stragglers on stderr.
  void end() { end_within(config_.drain_timeout); }
  void end_within(std::chrono::nanoseconds deadline);

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
  base::Atomic<bool> is_ended_{true};          // until all parts run
  bool leaves_parts_ = false;                  // leaks them: stragglers or the parent use them
  base::ThreadMutex ending_;                   // held during shut_down()
  std::shared_ptr<RuntimeState> leaked_self_;  // stragglers still find us through their scheduler
};

}  // namespace ramie::inline v0::runtime
