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
  std::uint8_t flags = 0;  // IOSQE_*; links and skipped completions are refused
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

}  // namespace uring
}  // namespace v0
}  // namespace ramie
