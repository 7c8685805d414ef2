// The result of a system call in the library's form: a count, or -errno.
#pragma once

#include "sched/base/annotate.hpp"

#include <ramie/result.hpp>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace ramie::inline v0::io {

using Bytes = std::int64_t;  // a count, or -errno

namespace sys {

// Use it on the call just made, in the same function: elsewhere a fiber may have changed threads,
// and errno with them. It is hidden from the race detector for the same reason.
RAMIE_NO_TSAN inline std::int64_t outcome(std::int64_t rc) noexcept { return rc < 0 ? -errno : rc; }

// The same for callers in folders that may not read errno.
int outcome_of(int rc) noexcept;

// -EPERM or -ENOSYS from a call that has no such error of its own: a sandbox denies the call.
constexpr bool is_denied(int rc) noexcept { return rc == -EPERM || rc == -ENOSYS; }

}  // namespace sys

inline std::error_code system_error(std::int64_t negative_errno) noexcept {
  return {static_cast<int>(-negative_errno), std::system_category()};
}

// For a call that returns 0 or -errno.
inline Result<void> result_of(std::int64_t rc) noexcept {
  if (rc < 0) return failure(system_error(rc));
  return {};
}

// The error of an operation on an object that has no descriptor.
inline std::unexpected<std::error_code> not_open() noexcept {
  return failure(std::make_error_code(std::errc::bad_file_descriptor));
}

}  // namespace ramie::inline v0::io
