// The distance between data that two cores must not share. 128, not 64: the adjacent-line
// prefetcher fetches lines in pairs.
#pragma once

#include <cstddef>

namespace ramie {
inline namespace v0 {
namespace base {
inline constexpr std::size_t kCacheLine = 128;
}  // namespace base
}  // namespace v0
}  // namespace ramie
