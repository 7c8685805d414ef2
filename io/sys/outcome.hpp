// For calls that another folder makes and whose errno it may not read.
#pragma once

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

// What a call has just returned, or -errno if that is negative.
int outcome_of(int rc) noexcept;

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
