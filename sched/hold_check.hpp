// A debugging aid (RAMIE_CHECKS; always on in builds with assertions). A fiber must not give up its
// thread, by parking or yielding,
//
//   - while it holds a std::mutex (any pthread_mutex_t) or runs the initialiser of a function-local
//     static. The next fiber that wants it would block its whole worker, and the owner may come
//     back on another thread. The message shows both stacks: where it was taken, and where the
//     fiber parks.
//   - in a signal handler. The signal would stay blocked on this thread.
//
// When it is turned on, calls of the C library's and the C++ runtime's functions are redirected to
// ours, which call the real ones (base/redirect.hpp). Until then it costs one test of a byte at
// each park. What a fiber holds is kept with its thread, since it cannot leave the thread with a
// lock.
//
// Rejected: functions of the same names in the library, as debug builds had them. Every lock of
// every program would pay, and the functions of a race detector would be hidden.
#pragma once

#include <atomic>

namespace ramie::inline v0::sched {

class Fiber;

class HoldCheck {
 public:
  static bool is_on() noexcept { return is_on_.load(std::memory_order_relaxed); }
  // Turns the check on for all runtimes of the process; it stays on. Each runtime calls it again,
  // since libraries may have been loaded meanwhile.
  static void turn_on() noexcept;
  // True in builds with assertions, unless a sanitizer replaces the same functions.
  static bool is_on_by_default() noexcept;
  // `act` is "parks" or "yields".
  static void look_at_switch(const Fiber& fiber, const char* act) noexcept;

 private:
  static constinit std::atomic<bool> is_on_;  // a setting; no protocol depends on it
};

}  // namespace ramie::inline v0::sched
