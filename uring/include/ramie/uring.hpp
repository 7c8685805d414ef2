// io_uring, directly: any operation that the kernel knows, awaited by a fiber.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace uring {

/// One request to the kernel: its io_uring_sqe, field by field. What a field means depends on the
/// opcode; see io_uring_enter(2). Memory that it points to must stay until submit() has returned.
struct Entry {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;  // 0 or IOSQE_ASYNC
  std::uint16_t priority = 0;
  std::int32_t fd = -1;
  std::uint64_t offset = 0;   // or a second address
  std::uint64_t address = 0;  // of the buffer, path, vector, ...
  std::uint32_t length = 0;
  std::uint32_t operation_flags = 0;  // RWF_*, MSG_*, AT_*, ...
  std::uint64_t user_data = 0;        // Ramie's own: what stands here is overwritten
  std::uint16_t buffer_index = 0;
  std::uint16_t personality = 0;
  std::int32_t file_index = 0;
  std::uint64_t address3 = 0;
  std::uint64_t reserved = 0;

  /// The same memory under the name that your header gives it, for liburing's helpers:
  /// `io_uring_prep_waitid(entry.as<io_uring_sqe>(), ...)`.
  template <class Sqe>
  Sqe* as() noexcept {
    static_assert(sizeof(Sqe) == 64 && std::is_trivially_copyable_v<Sqe>);
    return reinterpret_cast<Sqe*>(this);
  }
};
static_assert(sizeof(Entry) == 64);

/// The end of an operation.
struct Completion {
  std::int32_t result = 0;  // what the opcode says, 0 or more
  std::uint32_t flags = 0;  // IORING_CQE_F_*
};

namespace detail {
RAMIE_API Result<Completion> submit(const Entry& entry) noexcept;
}

/// Can this fiber's worker use io_uring? Makes the worker's ring if it has none yet.
/// Returns  success.
/// Errors   why not: function_not_supported, operation_not_permitted, permission_denied,
///          not_enough_memory, too_many_files_open from the kernel; unsupported if it was turned
///          off (RAMIE_IO, RAMIE_FS) or the kernel's io_uring is older than 5.17; no_runtime
///          outside a fiber.
/// Blocks   never.
/// Threads  fibers.
/// Cancel   not a wait.
[[nodiscard]] RAMIE_API Result<void> check() noexcept;

/// Does the kernel know this opcode (IORING_OP_*)? False wherever check() fails.
RAMIE_API bool has_opcode(std::uint8_t opcode) noexcept;

/// Any operation of io_uring: `prepare(entry)` fills an Entry; the fiber waits for its completion.
/// What the entry points to may stand on the fiber's stack: when submit() has returned, the kernel
/// is through with it. Operations with several completions (multishot) end with their last one, and
/// are of no use here; neither are links, registered files and provided buffers, which belong to
/// one ring.
/// Returns  the completion, with a result of 0 or more.
/// Errors   the operation's own, as system errors; those of check(); invalid_argument for flags
///          other than IOSQE_ASYNC; permission_denied or operation_not_permitted also from a filter
///          of io_uring's operations; interrupted if the kernel wants it to be started again;
///          operation_canceled, which is not Ramie's `canceled`, if the kernel had no thread for it
///          or another operation cancelled it; canceled, timed_out, shutting_down: nothing was
///          done, or the kernel gave up half-way where the opcode allows that. A descriptor or data
///          that came all the same wins: then it is a success.
/// Blocks   this fiber, after a cancel, too, until the kernel has let go; that is heard late if the
///          worker that started it is kept by a fiber that computes.
/// Threads  fibers.
/// Cancel   asks the kernel to cancel; safe as far as the opcode is.
template <class Prepare>
[[nodiscard]] Result<Completion> submit(Prepare&& prepare) {
  Entry entry;
  std::forward<Prepare>(prepare)(entry);
  return detail::submit(entry);
}

}  // namespace uring
}  // namespace v0
}  // namespace ramie
