// The operating system's threads, where the library may block one: the standard library's, or the
// model checker's. (Short critical sections use base/mutex.hpp.)
#pragma once

#if defined(RAMIE_MODEL)

#include "tests/model/thread.hpp"

#include <utility>

namespace ramie::inline v0::base {

using Thread = model::OsThread;
using ThreadMutex = model::Mutex;
using ThreadCondvar = model::Condvar;

inline void yield_thread() noexcept { model::yield(); }

template <class F>
Thread start_thread(F&& body) {
  return Thread(std::forward<F>(body));
}

}  // namespace ramie::inline v0::base

#else

#include "sched/base/sys.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ramie::inline v0::base {

using Thread = std::thread;
using ThreadMutex = std::mutex;
using ThreadCondvar = std::condition_variable;

inline void yield_thread() noexcept { std::this_thread::yield(); }

// Starts a thread, unless a test's plan refuses it (std::thread makes the system call itself).
// Throws std::system_error if there is no thread, std::bad_alloc without memory.
template <class F>
Thread start_thread(F&& body) {
  if (int planned = inject("clone"); planned != 0)
    throw std::system_error(-planned, std::generic_category());
  return Thread(std::forward<F>(body));
}

}  // namespace ramie::inline v0::base

#endif
