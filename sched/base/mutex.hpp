// The mutex of short critical sections; under the model checker one that it understands, so that
// every model need not search the futex's schedules too (FutexMutex has a model of its own).
#pragma once

#if defined(RAMIE_MODEL)
#include "sched/base/atomic.hpp"
#else
#include "sched/base/futex_mutex.hpp"
#endif

namespace ramie {
inline namespace v0 {
namespace base {

#if defined(RAMIE_MODEL)
using model::Mutex;
#else
using Mutex = FutexMutex;
#endif

}  // namespace base
}  // namespace v0
}  // namespace ramie
