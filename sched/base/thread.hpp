// The operating system's threads, where the library may block one: the standard's, or the model
// checker's. (Short critical sections use base/mutex.hpp.)
#pragma once

#if defined(RAMIE_MODEL)

#include "tests/model/thread.hpp"

namespace ramie {
inline namespace v0 {
namespace base {
using Thread = model::OsThread;
using ThreadMutex = model::Mutex;
using ThreadCondvar = model::Condvar;
inline void yield_thread() noexcept { model::yield(); }
}  // namespace base
}  // namespace v0
}  // namespace ramie

#else

#include <condition_variable>
#include <mutex>
#include <thread>

namespace ramie {
inline namespace v0 {
namespace base {
using Thread = std::thread;
using ThreadMutex = std::mutex;
using ThreadCondvar = std::condition_variable;
inline void yield_thread() noexcept { std::this_thread::yield(); }
}  // namespace base
}  // namespace v0
}  // namespace ramie

#endif
