// What most benchmarks include, read once by the compiler (see sched/pch/std.hpp).
#if !defined(RAMIE_PCH_BENCH_HPP)  // GCC warns of `once` here
#define RAMIE_PCH_BENCH_HPP

#include <ramie/ramie.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>

#endif
