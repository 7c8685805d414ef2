// Whether the kernel alone knows a file system, without a server or a process in user space.
#pragma once

#include <cstdint>

namespace ramie::inline v0::fs::sys {

// statx's mask for the id of a mount; the kernel never reuses it (since 6.8).
inline constexpr unsigned kMountId = 0x4000;  // STATX_MNT_ID_UNIQUE

// Returns true if the kernel knows everything about the files of that mount. Asks once for each
// mount, and only the kernel (statfs() would ask the server).
bool is_kernels_own(std::uint64_t mount) noexcept;
void forget_mounts() noexcept;  // for tests

}  // namespace ramie::inline v0::fs::sys
