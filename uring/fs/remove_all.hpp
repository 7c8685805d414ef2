// Removing a directory with all that is in it.
#pragma once

#include "uring/fs/calls.hpp"

#include <string>

namespace ramie {
inline namespace v0 {
namespace fs {

Result<void> remove_all(Calls& calls, std::string path);
// For destructors: in the pool whatever cancels us; here if the pool takes no job any more. Errors
// are lost.
void remove_all_shielded(const std::string& path) noexcept;

}  // namespace fs
}  // namespace v0
}  // namespace ramie
