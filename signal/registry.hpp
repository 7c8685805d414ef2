// Which fibers and threads listen to which signal. There is one registry in the process; each
// runtime adds its listeners to it.
//
//   Driver A or B, whichever is first:  Registry::broadcast()
//        handlers::take() -> {USR1, INT}
//        Listeners of every runtime: arrivals[USR1]++, arrivals[INT]++; wake those that wait
//        INT or TERM after shutdown(): cancel the token
//
// S5  A Signal compares the count of arrivals with the count that it saw last. So many signals
//     before recv() count as one, a signal between two recv() is never lost, and a slow listener
//     does not delay the others.
// S6  A broadcast puts everything that it wakes into the batch of the driver that broadcasts. The
//     batch is fired after the locks are released; a fiber of another runtime then goes to its own
//     scheduler.
#pragma once

#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"
#include "sched/waiter.hpp"
#include "signal/handlers.hpp"

#include <ramie/cancel.hpp>
#include <ramie/result.hpp>

#include <array>
#include <cstdint>

namespace ramie::inline v0::signal {

// The listeners of one runtime. Its driver and its Signals share them; the driver shuts them down.
class Listeners : public base::Link {
 public:
  std::uint64_t arrivals(int number) noexcept;
  // Waits until arrivals(number) differs from `seen`, and stores it there. Errors: those of a wait;
  // shutting_down.
  Result<void> wait(int number, std::uint64_t& seen) noexcept;

  // --- for the registry
  void count(SignalSet arrived) noexcept;
  void wake(SignalSet arrived, sched::WakeList& wakes) noexcept;

  // --- for the driver
  void shut_down() noexcept;

 private:
  base::Mutex mutex_;
  sched::WaiterList waiters_;  // Waiter::amount is the SignalSet it waits for
  std::array<std::uint64_t, kMaxSignal> arrivals_{};
  bool is_shut_down_ = false;
};

class Registry {
 public:
  // It is never destroyed, because a runtime may outlive static objects. The first call may throw
  // std::bad_alloc.
  static Registry& instance();

  void add(Listeners& listeners) noexcept;
  void remove(Listeners& listeners) noexcept;

  // Takes the pending signals and tells the listeners of all runtimes.
  void broadcast(sched::WakeList& wakes) noexcept;

  const CancellationToken& shutdown_token() const noexcept { return shutdown_token_; }

  // Around a fork. become_copy() is for its child.
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }
  void become_copy() noexcept;

 private:
  Registry() = default;

  base::Mutex mutex_;
  base::List<Listeners> runtimes_;
  const CancellationToken shutdown_token_;
};

}  // namespace ramie::inline v0::signal
