// What most test programs include, read once by the compiler (see sched/pch/std.hpp).
#if !defined(RAMIE_PCH_UNIT_HPP)  // GCC warns of `once` here
#define RAMIE_PCH_UNIT_HPP

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#endif
