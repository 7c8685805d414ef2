// Who hears which signal. The registry is the process's; each runtime adds its listeners to it.
//
//   Driver A or B, whoever comes first:  Registry::broadcast()
//        pipe::take() -> {USR1, INT}
//        Listeners of every runtime: arrivals[USR1]++, arrivals[INT]++; wake who waits for them
//        INT or TERM after shutdown(): cancel the token
//
// S5  A Signal compares the count of arrivals with the one it saw last: many signals before recv()
//     are one, a signal between two recv() is never lost, and a slow listener delays nobody.
// S6  A broadcast puts all that it wakes into the batch of the driver that broadcasts. The batch is
//     fired after the locks; a fiber of another runtime then goes to its own scheduler.
#pragma once

#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"
#include "sched/waiter.hpp"
#include "signal/pipe.hpp"

#include <ramie/cancel.hpp>
#include <ramie/result.hpp>

#include <array>
#include <cstdint>

namespace ramie {
inline namespace v0 {

namespace signal {

// Those of one runtime. Shared by its driver and its Signals; the driver ends it.
class Listeners : public base::Link {
 public:
  std::uint64_t arrivals(int number) noexcept;
  // Until arrivals(number) differs from `seen`, which it then becomes. Errors: those of a wait;
  // shutting_down.
  Result<void> wait(int number, std::uint64_t& seen) noexcept;

  // --- the registry
  void count(SignalSet arrived) noexcept;
  void wake(SignalSet arrived, sched::WakeList& wakes) noexcept;

  // --- the driver
  void shut_down() noexcept;

 private:
  base::Mutex mutex_;
  sched::WaiterList waiters_;  // Waiter::amount is the SignalSet it waits for
  std::array<std::uint64_t, kMaxSignal> arrivals_{};
  bool is_shut_down_ = false;
};

class Registry {
 public:
  // Never destroyed: a runtime may outlive static objects. Throws std::bad_alloc the first time.
  static Registry& instance();

  void add(Listeners& listeners) noexcept;
  void remove(Listeners& listeners) noexcept;

  // Tells the listeners of all runtimes what has come.
  void broadcast(sched::WakeList& wakes) noexcept;

  const CancellationToken& shutdown_token() const noexcept { return shutdown_token_; }

  // Around a fork, and in its child.
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }
  void become_copy() noexcept;

 private:
  Registry() = default;

  base::Mutex mutex_;
  base::List<Listeners> runtimes_;
  const CancellationToken shutdown_token_;
};

}  // namespace signal
}  // namespace v0
}  // namespace ramie
