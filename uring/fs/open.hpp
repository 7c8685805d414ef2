// openat(2) as one call of a sequence.
#pragma once

#include "io/sys/fd.hpp"
#include "uring/fs/calls.hpp"

namespace ramie {
inline namespace v0 {
namespace fs {

// `flags` are O_*; O_CLOEXEC is added.
Result<io::sys::UniqueFd> open(Calls& calls, const char* path, int flags, unsigned mode = 0);

}  // namespace fs
}  // namespace v0
}  // namespace ramie
