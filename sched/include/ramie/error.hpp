// Ramie's own error codes. System errors keep the system category; these have their own, so our
// `timed_out` differs from a peer's ETIMEDOUT, while both equal std::errc::timed_out.
#pragma once

#include <ramie/api.hpp>

#include <system_error>

namespace ramie::inline v0 {

enum class errc {
  canceled = 1,        // the fiber, its scope or its token was cancelled
  timed_out,           // a deadline passed
  shutting_down,       // the runtime is ending
  no_runtime,          // the call needs a runtime, and this thread is in none
  runtime_gone,        // the runtime that this object belonged to has ended
  closed,              // the other side of a channel or primitive is closed
  task_canceled,       // the joined fiber was cancelled before its body ran
  already_registered,  // the descriptor is already registered with this driver
  already_waiting,     // a second fiber waits on the same direction of a stream
  unsupported,         // the kernel or the build lacks it
  full,                // no room in the channel now
  empty,               // nothing in the channel now
  missing_port,        // an address without ":port"
  invalid_port,        // a port that is not a number from 0 to 65535
  invalid_address,     // a text that is neither an address nor a host's name
  unknown_interface,   // no network interface has the name or number after '%'
  host_not_found,      // the resolver knows no such host
  resolver_failed,     // the resolver got no answer
  spent,               // the object is empty: it was moved from, or an earlier call used it up
};

RAMIE_API const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

}  // namespace ramie::inline v0

template <>
struct std::is_error_code_enum<ramie::errc> : std::true_type {};
