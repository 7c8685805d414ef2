// The thread that watches the workers. It reports a fiber that does not give its worker back, a
// fiber that passes through waits that do not wait, work that no worker takes, and fibers that all
// wait for each other. It also prints dumps on request.
//
//   asleep          until the bell rings: all workers have slept for two looks
//   looks           every `stall`/4, at least every 250 ms, while a worker works
//
// It takes no part in scheduling. What it repairs (rescues) is the workers' own duty (P3, P4). The
// count of rescues is zero in normal runs, so it detects lost wake-ups.
//
// All watchdogs of the process share one bell, since a signal handler must find it. A request for a
// dump is a count and a futex. A worker that goes back to work rings only if its watchdog sleeps.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/thread.hpp"
#include "sched/spin_watch.hpp"

#include <cstdint>
#include <vector>

namespace ramie::inline v0::sched {

class Scheduler;
class Fiber;

// What to do when all fibers wait for each other, and nothing else can wake them.
enum class OnDeadlock : std::uint8_t { off, report, abort };

struct WatchdogOptions {
  base::Nanos stall{0};  // a fiber that runs this long without a break is reported; 0: off
  OnDeadlock on_deadlock = OnDeadlock::off;
  bool dumps_on_signal = false;

  bool is_needed() const noexcept {
    return stall.count() != 0 || on_deadlock != OnDeadlock::off || dumps_on_signal;
  }
};

class Watchdog {
 public:
  explicit Watchdog(Scheduler& scheduler);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void start();  // throws std::system_error if there is no thread
  void stop() noexcept;

  // Called by a worker that comes back from its sleep.
  void on_work() noexcept {
    if (is_asleep_.load(base::kSeqCst)) [[unlikely]]
      wake_up();
  }

  std::uint64_t stalls() const noexcept { return stalls_.load(base::kRelaxed); }
  std::uint64_t spins() const noexcept { return spins_.load(base::kRelaxed); }
  std::uint64_t rescues() const noexcept { return rescues_.load(base::kRelaxed); }
  std::uint64_t deadlocks() const noexcept { return deadlocks_.load(base::kRelaxed); }

  SpinWatch& spins_seen() noexcept { return spin_watch_; }

  // Makes every watchdog with dumps_on_signal print one. Returns false if there is none. May be
  // called by signal handlers.
  static bool request_dump() noexcept;

 private:
  // What we saw of a worker at our last look.
  struct Seen {
    std::uint32_t tick = 0;
    std::uint64_t sleeps = 0;
    bool is_asleep = false;
    bool has_work = false;
    const Fiber* fiber = nullptr;
  };
  // What we know of the fiber that a worker runs.
  struct Run {
    base::Instant before{};     // our last look before this fiber's run
    base::Instant last{};       // our last look
    base::Instant first{};      // when we first saw this fiber in this run
    base::Nanos next_report{};  // after so long
    bool is_reported = false;   // and we have not yet reported that it goes on
  };

  void run() noexcept;
  void look();
  // Returns whether the worker has been like this since our last look.
  bool look_at_worker(std::size_t index);
  void look_at_fiber(std::size_t index, Fiber* fiber, bool has_moved);
  void rescue(bool has_stuck_work, bool has_sleeper);
  void look_for_deadlock();
  bool is_deadlock();
  bool are_all_as_seen() const noexcept;
  void print_dump();
  void print_spin();
  void sleep(std::uint32_t bell) noexcept;
  void wake_up() noexcept;

  Scheduler& scheduler_;
  const base::Nanos interval_;
  std::vector<Seen> seen_;
  std::vector<Run> runs_;
  base::Instant last_look_{};
  base::Nanos patience_{0};  // the time until the next look for a deadlock, while all sleep
  std::uint64_t seen_injected_ = 0;
  std::uint64_t seen_turns_ = 0;
  bool had_injected_work_ = false;
  bool had_free_baton_ = false;
  bool has_reported_deadlock_ = false;
  std::uint32_t quiet_looks_ = 0;
  std::uint32_t dumps_ = 0;  // requests that we have answered
  base::Atomic<bool> is_asleep_{false};
  base::Atomic<bool> is_stopping_{false};
  base::Atomic<std::uint64_t> stalls_{0};
  base::Atomic<std::uint64_t> spins_{0};
  base::Atomic<std::uint64_t> rescues_{0};
  SpinWatch spin_watch_;
  base::Atomic<std::uint64_t> deadlocks_{0};
  base::Thread thread_;
};

}  // namespace ramie::inline v0::sched
