// Waiting for each other: mutual exclusion, counting, signalling, channels.
//
// Everything here works between fibers, between plain threads, and between both. A fiber parks; a
// plain thread blocks, and there a wait knows no cancel and no deadline. First come, first served,
// unless a class says otherwise. A wait that a cancel or a deadline ended owns nothing: what it
// would have got goes to the next in line.
//
// An object may be destroyed as soon as nobody is inside one of its functions; who was just woken
// may do it, although its waker has not returned yet.
#pragma once

#include <ramie/sync/condvar.hpp>
#include <ramie/sync/mpsc.hpp>
#include <ramie/sync/mutex.hpp>
#include <ramie/sync/notify.hpp>
#include <ramie/sync/oneshot.hpp>
#include <ramie/sync/semaphore.hpp>
