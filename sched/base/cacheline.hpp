// What two cores must not share. 128, not 64: the adjacent-line prefetcher pairs lines.
#pragma once

#include <cstddef>

namespace ramie {
inline namespace v0 {
namespace base {
inline constexpr std::size_t kCacheLine = 128;
}  // namespace base
}  // namespace v0
}  // namespace ramie
