// The opcodes of io_uring that Ramie uses. They are numbers of the kernel's ABI, so old headers and
// an old liburing do not limit them. The running kernel is asked which ones it has. The comment at
// an opcode says how it uses the entry's fields.
#pragma once

#include <cstdint>

namespace ramie::inline v0::uring {

using Opcode = std::uint8_t;

inline constexpr Opcode kPollAdd = 6;        // fd, operation_flags: POLL*, length: IORING_POLL_*
inline constexpr Opcode kAccept = 13;        // fd, operation_flags: SOCK_*
inline constexpr Opcode kAsyncCancel = 14;   // address: the user_data
inline constexpr Opcode kSendZeroCopy = 47;  // fd, address, length, operation_flags; since 6.0

inline constexpr Opcode kReadv = 1;       // fd, offset, address: iovecs, length: how many
inline constexpr Opcode kWritev = 2;      // as kReadv
inline constexpr Opcode kFsync = 3;       // fd, operation_flags
inline constexpr Opcode kFallocate = 17;  // fd, offset, address: bytes, length: mode
inline constexpr Opcode kOpenat = 18;     // fd: folder, address: path, length: mode, flags
inline constexpr Opcode kStatx = 21;      // fd, address: path, length: mask, offset: statx, flags
inline constexpr Opcode kRead = 22;       // fd, offset, address, length
inline constexpr Opcode kWrite = 23;      // as kRead
inline constexpr Opcode kRenameat = 35;   // fd, address, length: new folder, offset: new, flags
inline constexpr Opcode kUnlinkat = 36;   // fd, address, flags
inline constexpr Opcode kMkdirat = 37;    // fd, address, length: mode
inline constexpr Opcode kSymlinkat = 38;  // fd: folder, address: target, offset: path of the link
inline constexpr Opcode kLinkat = 39;     // as kRenameat
inline constexpr Opcode kFtruncate = 55;  // fd, offset: bytes; since Linux 6.9

inline constexpr std::uint32_t kPollMultishot = 1;    // length of kPollAdd
inline constexpr std::uint16_t kAcceptMultishot = 1;  // priority of kAccept; since Linux 5.19
inline constexpr std::uint32_t kFsyncDatasync = 1;    // operation_flags of kFsync

// A pointer in the form that an entry holds.
inline std::uint64_t address_of(const void* pointer) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

}  // namespace ramie::inline v0::uring
