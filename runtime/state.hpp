// What a runtime owns, in the order in which it is built; it ends in the reverse order.
//
//   io::Handle (drivers) -> signal::Handle, uring::Handle (extensions of them) -> Scheduler
//   (workers that park on them)
//
// Who calls us from outside while we end, or later: Handles and EnterGuards share us, and the parts
// live as long as we do, so whatever they ask finds the parts. Nothing is moved or destroyed by
// shut_down(); the scheduler refuses what it must not begin any more (`is_shutting_down`). So there
// is no moment in which a call could meet half of a runtime, and none has to be locked out.
// Rejected: a count of the calls that are inside, for which an end would have to wait.
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

namespace ramie {
inline namespace v0 {
namespace runtime {

class RuntimeState : public std::enable_shared_from_this<RuntimeState>, public sched::EnvPart {
 public:
  static constexpr Place kPlace = Place::runtime;

  // What the Builder has that Config has not.
  struct Hooks {
    std::string thread_name = "ramie";
    std::function<void()> on_thread_start;
    std::function<void()> on_thread_stop;
    bool is_process_wide = true;
  };

  static Result<std::shared_ptr<RuntimeState>> create(const Config& config, const Hooks& hooks);
  ~RuntimeState();

  // Not once its end has begun, and not in a forked child.
  bool is_running() const noexcept {
    return !is_ended_.load(base::kAcquire) && !is_in_forked_child();
  }
  // Null in a forked child. It may have ended: then it refuses what it is given.
  sched::Scheduler* scheduler() const noexcept {
    return is_in_forked_child() ? nullptr : scheduler_.get();
  }
  // We are a copy in a forked child.
  bool is_in_forked_child() const noexcept { return fork_number_ != sched::fork_number(); }
  const Config& config() const noexcept { return config_; }
  // Of an ended runtime the last ones; none in a forked child, where a lock may be held for ever.
  Metrics metrics() const;
  // The second one waits for the first, and finds nothing to do.
  std::vector<std::string> shut_down(std::chrono::nanoseconds deadline);
  // With the configured deadline; stragglers are named on stderr.
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
  bool leaves_parts_ = false;                  // to stragglers, or to the parent
  base::ThreadMutex ending_;                   // held by who ends us
  std::shared_ptr<RuntimeState> leaked_self_;  // stragglers still find us through their scheduler
};

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
