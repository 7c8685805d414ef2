// What most models include, read once by the compiler (see sched/pch/std.hpp).
#if !defined(RAMIE_PCH_MODEL_HPP)  // GCC warns of `once` here
#define RAMIE_PCH_MODEL_HPP

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#endif
