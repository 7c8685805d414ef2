// What a user includes, read once by the compiler (see sched/pch/std.hpp).
#if !defined(RAMIE_PCH_USER_HPP)  // GCC warns of `once` here
#define RAMIE_PCH_USER_HPP

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#endif
