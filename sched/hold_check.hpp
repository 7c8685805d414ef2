// A debugging aid (RAMIE_CHECKS; always on in builds with assertions): a fiber must not leave its
// thread, to park or to yield,
//
//   - while it holds a std::mutex (any pthread_mutex_t) or stands in the initialiser of a
//     function-local static: the next fiber that wants it would block its whole worker, and the
//     owner may come back on another thread. The message has both stacks, where it was taken and
//     where the fiber leaves.
//   - in a signal handler: the signal would stay blocked on this thread.
//
// On request the calls of the C library's and the C++ runtime's functions lead to ours, which call
// the real ones (base/redirect.hpp). Until then nothing of this costs anything but the look at a
// byte at each park. What a fiber holds is kept with its thread: it cannot leave that with a lock.
//
// Rejected: functions of the same names in the library, as debug builds had them: every lock of
// every program would pay, and a race detector's own would be hidden.
#pragma once

#include <atomic>

namespace ramie {
inline namespace v0 {
namespace sched {

class Fiber;

class HoldCheck {
 public:
  static bool is_on() noexcept { return is_on_.load(std::memory_order_relaxed); }
  // For good, and for all runtimes of the process; again for each, since libraries may have been
  // loaded meanwhile.
  static void turn_on() noexcept;
  // In builds with assertions, unless a sanitizer has its own functions in these places.
  static bool is_on_by_default() noexcept;
  // `act`: "parks", "yields".
  static void look_at_leaving(const Fiber& fiber, const char* act) noexcept;

 private:
  static constinit std::atomic<bool> is_on_;  // a setting, no part of any protocol
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
