// The mutex of short critical sections. Under the model checker it is one that the checker
// understands, so that not every model searches the futex's schedules, too (FutexMutex has its own
// model).
#pragma once

#if defined(RAMIE_MODEL)
#include "sched/base/atomic.hpp"
#else
#include "sched/base/futex_mutex.hpp"
#endif

namespace ramie::inline v0::base {

#if defined(RAMIE_MODEL)
using model::Mutex;
#else
using Mutex = FutexMutex;
#endif

}  // namespace ramie::inline v0::base
