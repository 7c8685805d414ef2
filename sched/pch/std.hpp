// The standard headers that most files of the library include, compiled once: meson puts this
// before each of them. The files include what they need all the same: `./dev prove` first compiles
// the library without this file, which proves it.
#if !defined(RAMIE_PCH_STD_HPP)  // GCC warns of `once` here
#define RAMIE_PCH_STD_HPP

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
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

#include <fmt/format.h>

#endif
