// For calls that another folder makes and whose errno it may not read.
#pragma once

#include <cerrno>

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

// What a call has just returned, or -errno if that is negative.
int outcome_of(int rc) noexcept;

// -EPERM or -ENOSYS, of a call that has no such error of its own: a sandbox denies it.
constexpr bool is_denied(int rc) noexcept { return rc == -EPERM || rc == -ENOSYS; }

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
