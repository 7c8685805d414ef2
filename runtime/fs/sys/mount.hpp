// Whether a file system has anybody to ask: a server, or a process in user space.
#pragma once

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace fs {
namespace sys {

// statx's mask for the id of a mount that no other mount will ever have (kernel 6.8).
inline constexpr unsigned kMountId = 0x4000;  // STATX_MNT_ID_UNIQUE

// True: what the kernel knows of the files of that mount is all there is to know. Asks once for
// each mount, and only the kernel (statfs() would ask the server).
bool is_kernels_own(std::uint64_t mount) noexcept;
void forget_mounts() noexcept;  // for tests

}  // namespace sys
}  // namespace fs
}  // namespace v0
}  // namespace ramie
