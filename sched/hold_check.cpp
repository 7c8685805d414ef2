// See hold_check.hpp.
#include "sched/hold_check.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/redirect.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"
#include "sched/frames.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace ramie::inline v0::sched {

constinit std::atomic<bool> HoldCheck::is_on_{false};

bool HoldCheck::is_on_by_default() noexcept {
  return RAMIE_ASSERTIONS != 0 && RAMIE_ASAN == 0 && RAMIE_TSAN == 0;
}

namespace {

constexpr const char* kMutex = "a std::mutex";
constexpr const char* kStatic = "the initialiser of a function-local static";

void on_taken(const char* what) noexcept {
  const Fiber* fiber = current_fiber();
  if (fiber == nullptr) return;
  Holds& holds = thread_holds();
  if (std::exchange(holds.is_busy, true)) return;
  if (holds.fiber != fiber->id) holds.count = 0;  // a thread that has ended kept the lock
  holds.fiber = fiber->id;
  ++holds.count;
  holds.what = what;
  Frames frames;
  unwind_here(frames);
  holds.frames = std::min(frames.count, holds.taken_at.size());
  std::copy_n(frames.at.begin(), holds.frames, holds.taken_at.begin());
  holds.is_busy = false;
}

// Otherwise it is another fiber's, or was taken before the fiber began.
void on_given_back() noexcept {
  const Fiber* fiber = current_fiber();
  if (fiber == nullptr) return;
  Holds& holds = thread_holds();
  if (!holds.is_busy && holds.fiber == fiber->id && holds.count != 0) --holds.count;
}

std::string text_of(std::span<const std::uintptr_t> stack) {
  Symbols symbols;
  return frames_text(stack, symbols, "      ");
}

void refuse_holds(const Fiber& fiber, const char* act) noexcept {
  const Holds held = thread_holds();  // what follows takes locks and initialises statics
  Frames here;
  unwind_here(here);
  const std::string text = fmt::format(
      "ramie: fiber {} '{}' {} here:\n{}  while it holds {}, taken here:\n{}", fiber.id, fiber.name,
      act, frames_text(here), held.what, text_of(std::span(held.taken_at).first(held.frames)));
  base::sys::write_stderr(text.data(), text.size());
  base::fatal(
      "a fiber must not wait while it holds %s: the next to want it would block a whole "
      "worker. Use ramie::sync::Mutex, or release it first",
      held.what);
}

// While a handler runs its signal is blocked. Walking the stack at each wait would be slow.
bool may_be_in_handler() noexcept {
  sigset_t now;
  if (::pthread_sigmask(SIG_SETMASK, nullptr, &now) != 0) return false;
  std::uint64_t blocked = 0;
  std::memcpy(&blocked, &now, sizeof blocked);  // only the kernel writes it
  const base::TsanInternal internal;            // the thread's own, used by one fiber after another
  Holds& holds = thread_holds();
  if (holds.has_blocked) return blocked != holds.blocked;
  holds.has_blocked = !is_in_signal_handler();
  holds.blocked = blocked;
  return !holds.has_blocked;
}

// --- ours, which call the real ones --------------------------------------------------------------

using OfMutex = int(pthread_mutex_t*);
using TimedLock = int(pthread_mutex_t*, const timespec*);
using ClockLock = int(pthread_mutex_t*, clockid_t, const timespec*);
using Acquire = int(void*);
using Release = void(void*);
struct Real {
  OfMutex* lock = nullptr;
  OfMutex* trylock = nullptr;
  TimedLock* timedlock = nullptr;
  ClockLock* clocklock = nullptr;
  OfMutex* unlock = nullptr;
  Acquire* guard_acquire = nullptr;
  Release* guard_release = nullptr;
  Release* guard_abort = nullptr;
};
constinit Real real;  // written before any call can reach our functions

int note(int error) noexcept {
  if (error == 0) on_taken(kMutex);
  return error;
}
int lock(pthread_mutex_t* mutex) noexcept { return note(real.lock(mutex)); }
int trylock(pthread_mutex_t* mutex) noexcept { return note(real.trylock(mutex)); }
// std::timed_mutex waits through these.
int timedlock(pthread_mutex_t* mutex, const timespec* limit) noexcept {
  return note(real.timedlock(mutex, limit));
}
int clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* limit) noexcept {
  return note(real.clocklock(mutex, clock, limit));
}
int unlock(pthread_mutex_t* mutex) noexcept {
  on_given_back();
  return real.unlock(mutex);
}
int guard_acquire(void* guard) {
  const int is_ours = real.guard_acquire(guard);
  if (is_ours != 0) on_taken(kStatic);
  return is_ours;
}
void guard_release(void* guard) noexcept {
  on_given_back();
  real.guard_release(guard);
}
void guard_abort(void* guard) noexcept {
  on_given_back();
  real.guard_abort(guard);
}

template <class Function>
base::Redirection redirection(const char* name, Function*& real_one,
                              std::type_identity_t<Function>* ours) noexcept {
  if (real_one == nullptr) real_one = reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
  return {name, real_one == nullptr ? nullptr : reinterpret_cast<void*>(ours)};
}

}  // namespace

void HoldCheck::turn_on() noexcept {
  const base::Redirection all[] = {
      redirection("pthread_mutex_lock", real.lock, &lock),
      redirection("pthread_mutex_trylock", real.trylock, &trylock),
      redirection("pthread_mutex_timedlock", real.timedlock, &timedlock),
      redirection("pthread_mutex_clocklock", real.clocklock, &clocklock),
      redirection("pthread_mutex_unlock", real.unlock, &unlock),
      redirection("__cxa_guard_acquire", real.guard_acquire, &guard_acquire),
      redirection("__cxa_guard_release", real.guard_release, &guard_release),
      redirection("__cxa_guard_abort", real.guard_abort, &guard_abort),
  };
  const bool is_first = !is_on_.exchange(true, std::memory_order_relaxed);
  if (base::redirect_calls(all) == 0 && is_first)
    base::warn(
        "RAMIE_CHECKS: no call of pthread_mutex_lock can be watched in this program (is it "
        "linked statically?), so a std::mutex that is held over a wait stays unseen");
}

void HoldCheck::look_at_switch(const Fiber& fiber, const char* act) noexcept {
  const Holds& holds = thread_holds();
  if (holds.count != 0 && holds.fiber == fiber.id) refuse_holds(fiber, act);
  if (may_be_in_handler() && is_in_signal_handler()) refuse_wait_in_handler();
}

}  // namespace ramie::inline v0::sched
