// The atomics of the public headers: the standard library's. With RAMIE_MODEL they are the model
// checker's, so that the shipped code runs under it (tests/model/README.md).
#pragma once

#include <ramie/api.hpp>

#include <cstddef>

#if defined(RAMIE_MODEL)
#include "tests/model/atomic.hpp"
#else
#include <atomic>
#endif

namespace ramie::inline v0::detail {

#if defined(RAMIE_MODEL)
template <class T>
using Atomic = model::Atomic<T>;
// The factor by which the library's objects that live in public ones are larger under the checker.
inline constexpr std::size_t kRoom = 16;
inline constexpr bool kIsModel = true;
#else
template <class T>
using Atomic = std::atomic<T>;
inline constexpr std::size_t kRoom = 1;
inline constexpr bool kIsModel = false;
#endif

}  // namespace ramie::inline v0::detail
