// Synchronisation: mutual exclusion, counting, signalling, channels.
//
// Everything here works between fibers, between plain threads, and between both. A fiber parks. A
// plain thread blocks, and its waits have no cancel and no deadline. Waiters are served in the
// order in which they came, unless a class says otherwise. A wait that a cancel or a deadline ended
// owns nothing: what it would have got goes to the next waiter.
//
// An object may be destroyed as soon as nobody is inside one of its functions. A waiter that was
// just woken may destroy it, although its waker has not returned yet.
#pragma once

#include <ramie/sync/condvar.hpp>
#include <ramie/sync/mpsc.hpp>
#include <ramie/sync/mutex.hpp>
#include <ramie/sync/notify.hpp>
#include <ramie/sync/oneshot.hpp>
#include <ramie/sync/semaphore.hpp>
