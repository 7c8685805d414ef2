// Direct use of io_uring: a fiber runs any operation that the kernel knows.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace ramie::inline v0::uring {

/// One request to the kernel: the fields of io_uring_sqe. The opcode decides what a field means;
/// see io_uring_enter(2). Memory that the entry points to must stay until submit() has returned.
struct Entry {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;  // 0 or IOSQE_ASYNC
  std::uint16_t priority = 0;
  std::int32_t fd = -1;
  std::uint64_t offset = 0;   // or a second address
  std::uint64_t address = 0;  // of the buffer, path, vector, ...
  std::uint32_t length = 0;
  std::uint32_t operation_flags = 0;  // RWF_*, MSG_*, AT_*, ...
  std::uint64_t user_data = 0;        // Ramie overwrites it
  std::uint16_t buffer_index = 0;
  std::uint16_t personality = 0;
  std::int32_t file_index = 0;
  std::uint64_t address3 = 0;
  std::uint64_t reserved = 0;

  /// The same memory under the type of your own header, for liburing's helpers:
  /// `io_uring_prep_waitid(entry.as<io_uring_sqe>(), ...)`.
  template <class Sqe>
  Sqe* as() noexcept {
    static_assert(sizeof(Sqe) == 64 && std::is_trivially_copyable_v<Sqe>);
    return reinterpret_cast<Sqe*>(this);
  }
};
static_assert(sizeof(Entry) == 64);

/// The result of an operation.
struct Completion {
  std::int32_t result = 0;  // 0 or more; its meaning depends on the opcode
  std::uint32_t flags = 0;  // IORING_CQE_F_*
};

namespace detail {
RAMIE_API Result<Completion> submit(const Entry& entry) noexcept;
}

/// Checks whether this fiber's worker can use io_uring. Makes the worker's ring if there is none
/// yet.
/// Errors   the reason: function_not_supported, operation_not_permitted, permission_denied,
///          not_enough_memory, too_many_files_open from the kernel; unsupported if io_uring was
///          turned off (RAMIE_IO, RAMIE_FS) or the kernel's is older than 5.17; no_runtime outside
///          a fiber.
/// Threads  fibers only.
[[nodiscard]] RAMIE_API Result<void> check() noexcept;

/// Returns whether the kernel knows this opcode (IORING_OP_*). False wherever check() fails.
RAMIE_API bool has_opcode(std::uint8_t opcode) noexcept;

/// Runs any operation of io_uring. `prepare(entry)` fills an Entry; the fiber waits for the
/// completion. The entry may point to memory on the fiber's stack: the kernel no longer uses it
/// when submit() has returned. An operation with several completions (multishot) ends with its last
/// one, so it is of no use here. Links, registered files and provided buffers do not work either,
/// because they belong to one ring.
/// Returns  the completion, with a result of 0 or more.
/// Errors   the operation's own, as system errors; those of check(); invalid_argument for flags
///          other than IOSQE_ASYNC; permission_denied or operation_not_permitted also from a filter
///          of io_uring's operations; interrupted if the kernel wants the operation to be started
///          again; operation_canceled, which is not Ramie's `canceled`, if the kernel had no thread
///          for it or another operation cancelled it; canceled, timed_out, shutting_down: nothing
///          was done, or the kernel stopped half-way where the opcode allows that. If a descriptor
///          or data arrived nevertheless, the call succeeds.
/// Blocks   this fiber, until the kernel no longer uses the memory, even after a cancel. The fiber
///          learns that late if another fiber keeps the worker that started the operation busy.
/// Threads  fibers only.
/// Cancel   asks the kernel to cancel; as safe as the opcode is.
template <class Prepare>
[[nodiscard]] Result<Completion> submit(Prepare&& prepare) {
  Entry entry;
  std::forward<Prepare>(prepare)(entry);
  return detail::submit(entry);
}

}  // namespace ramie::inline v0::uring
