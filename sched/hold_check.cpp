// See hold_check.hpp.
#include "sched/hold_check.hpp"

#if RAMIE_HOLD_CHECK

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/dump.hpp"
#include "sched/fiber.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <ctime>

#include <fmt/format.h>

namespace ramie {
inline namespace v0 {
namespace sched {

void Holds::take(const char* what) noexcept {
  ++count_;
  what_ = what;
  taken_at_.count = 0;
  unwind_here(taken_at_);
}

void Holds::refuse_if_any(const Fiber& fiber, const char* act) const noexcept {
  if (count_ == 0) return;
  const Holds held = *this;  // what follows takes locks and initialises statics, and counts them
  Frames here;
  unwind_here(here);
  const std::string text =
      fmt::format("ramie: fiber {} '{}' {} here:\n{}  while it holds {}, taken here:\n{}", fiber.id,
                  fiber.name, act, frames_text(here), held.what_, frames_text(held.taken_at_));
  base::sys::write_stderr(text.data(), text.size());
  base::fatal("a fiber must not wait while it holds %s: who wants it next would block a whole "
              "worker. Use ramie::sync::Mutex, or release it first", held.what_);
}

namespace {

template <class Function>
Function* real(Function*& known, const char* name) noexcept {
  Function* function = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (function == nullptr) {
    function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
    __atomic_store_n(&known, function, __ATOMIC_RELAXED);
  }
  return function;
}

constexpr const char* kMutex = "a std::mutex";
constexpr const char* kStatic = "the initialiser of a function-local static";

void on_taken(const char* what) noexcept {
  if (Fiber* fiber = current_fiber()) fiber->holds.take(what);
}
void on_given_back() noexcept {
  if (Fiber* fiber = current_fiber()) fiber->holds.give_back();
}

using OfMutex = int(pthread_mutex_t*);
using TimedLock = int(pthread_mutex_t*, const timespec*);
using ClockLock = int(pthread_mutex_t*, clockid_t, const timespec*);
using Acquire = int(void*);
using Release = void(void*);
OfMutex* real_lock = nullptr;
OfMutex* real_trylock = nullptr;
TimedLock* real_timedlock = nullptr;
ClockLock* real_clocklock = nullptr;
OfMutex* real_unlock = nullptr;
Acquire* real_guard_acquire = nullptr;
Release* real_guard_release = nullptr;
Release* real_guard_abort = nullptr;

}  // namespace

}  // namespace sched
}  // namespace v0
}  // namespace ramie

#define RAMIE_INTERPOSED extern "C" __attribute__((visibility("default")))

namespace rs = ramie::sched;

RAMIE_INTERPOSED int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  const int error = rs::real(rs::real_lock, "pthread_mutex_lock")(mutex);
  if (error == 0) rs::on_taken(rs::kMutex);
  return error;
}

RAMIE_INTERPOSED int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  const int error = rs::real(rs::real_trylock, "pthread_mutex_trylock")(mutex);
  if (error == 0) rs::on_taken(rs::kMutex);
  return error;
}

// Through these std::timed_mutex waits.
RAMIE_INTERPOSED int pthread_mutex_timedlock(pthread_mutex_t* mutex,
                                             const timespec* limit) noexcept {
  const int error = rs::real(rs::real_timedlock, "pthread_mutex_timedlock")(mutex, limit);
  if (error == 0) rs::on_taken(rs::kMutex);
  return error;
}

RAMIE_INTERPOSED int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                                             const timespec* limit) noexcept {
  const int error = rs::real(rs::real_clocklock, "pthread_mutex_clocklock")(mutex, clock, limit);
  if (error == 0) rs::on_taken(rs::kMutex);
  return error;
}

RAMIE_INTERPOSED int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  rs::on_given_back();
  return rs::real(rs::real_unlock, "pthread_mutex_unlock")(mutex);
}

RAMIE_INTERPOSED int __cxa_guard_acquire(void* guard) {
  const int is_ours = rs::real(rs::real_guard_acquire, "__cxa_guard_acquire")(guard);
  if (is_ours != 0) rs::on_taken(rs::kStatic);
  return is_ours;
}

RAMIE_INTERPOSED void __cxa_guard_release(void* guard) noexcept {
  rs::on_given_back();
  rs::real(rs::real_guard_release, "__cxa_guard_release")(guard);
}

RAMIE_INTERPOSED void __cxa_guard_abort(void* guard) noexcept {
  rs::on_given_back();
  rs::real(rs::real_guard_abort, "__cxa_guard_abort")(guard);
}

#endif
