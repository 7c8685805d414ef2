// The atomics of the public headers: the standard's. Compiled with RAMIE_MODEL they are the model
// checker's, so that the very code that ships runs under it (tests/model/README.md).
#pragma once

#include <ramie/api.hpp>

#include <cstddef>

#if defined(RAMIE_MODEL)
#include "tests/model/atomic.hpp"
#else
#include <atomic>
#endif

namespace ramie {
inline namespace v0 {
namespace detail {

#if defined(RAMIE_MODEL)
template <class T>
using Atomic = model::Atomic<T>;
// How much larger than here an object of the library may be that lives in a public one.
inline constexpr std::size_t kRoom = 16;
inline constexpr bool kIsModel = true;
#else
template <class T>
using Atomic = std::atomic<T>;
inline constexpr std::size_t kRoom = 1;
inline constexpr bool kIsModel = false;
#endif

}  // namespace detail
}  // namespace v0
}  // namespace ramie
