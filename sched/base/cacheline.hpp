// The distance between data that two cores must not share. 128, not 64: the adjacent-line
// prefetcher fetches lines in pairs.
#pragma once

#include <cstddef>

namespace ramie::inline v0::base {
inline constexpr std::size_t kCacheLine = 128;
}  // namespace ramie::inline v0::base
