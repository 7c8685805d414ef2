// The category behind ramie::errc, and report().
#include <ramie/error.hpp>
#include <ramie/result.hpp>

#include "sched/base/sys.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace ramie::inline v0 {

namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ramie"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::canceled: return "canceled: the fiber, its scope or its token was cancelled";
      case errc::timed_out: return "deadline exceeded";
      case errc::shutting_down: return "the runtime is shutting down";
      case errc::no_runtime:
        return "no runtime here: call this inside ramie::block_on, or enter a Handle";
      case errc::runtime_gone: return "the runtime that this object belongs to has ended";
      case errc::closed: return "closed by the other side";
      case errc::task_canceled: return "the fiber was cancelled before its body ran";
      case errc::already_registered:
        return "the descriptor is registered with this runtime already";
      case errc::already_waiting:
        return "another fiber already waits on this direction of the stream";
      case errc::unsupported: return "not supported by this kernel or build";
      case errc::full: return "full: no room now";
      case errc::empty: return "empty: nothing there now";
      case errc::missing_port:
        return "no port: an address ends with one, such as 127.0.0.1:7000, [::1]:7000, "
               "localhost:7000, or :7000";
      case errc::invalid_port:
        return "the port, which follows the last ':', is not a number from 0 to 65535";
      case errc::invalid_address:
        return "not an address: use 127.0.0.1:7000, [::1]:7000 (an IPv6 address stands in "
               "brackets), or a host's name and a port";
      case errc::unknown_interface:
        return "no network interface here has the name or number after '%'";
      case errc::host_not_found:
        return "host not found: neither /etc/hosts nor a name server knows that name";
      case errc::resolver_failed: return "the name server gave no answer: try again later";
      case errc::spent:
        return "this object is empty: it was moved from, or used up by an earlier "
               "call (join, detach, send, recv)";
    }
    return "unknown ramie error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::timed_out: return std::errc::timed_out;
      case errc::canceled:
      case errc::task_canceled:
      case errc::shutting_down: return std::errc::operation_canceled;
      case errc::closed: return std::errc::broken_pipe;
      case errc::already_registered: return std::errc::file_exists;
      case errc::already_waiting: return std::errc::device_or_resource_busy;
      case errc::unsupported: return std::errc::operation_not_supported;
      case errc::missing_port:
      case errc::invalid_port:
      case errc::invalid_address: return std::errc::invalid_argument;
      case errc::unknown_interface: return std::errc::no_such_device;
      case errc::host_not_found: return std::errc::address_not_available;
      case errc::resolver_failed:
      case errc::full:
      case errc::empty: return std::errc::resource_unavailable_try_again;
      case errc::spent: return std::errc::invalid_argument;
      default: return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const Category instance;
  return instance;
}

namespace {
// Made when the program is loaded. Otherwise a fork during another thread's first use would leave
// it half initialised in the child.
[[maybe_unused]] const std::error_category& made_early = category();
}  // namespace

int report(std::string_view what, std::error_code code) noexcept {
  char line[512];
  try {
    const int n = std::snprintf(line, sizeof line, "%.*s: %s\n", static_cast<int>(what.size()),
                                what.data(), code.message().c_str());
    base::sys::write_stderr(line, std::min(static_cast<std::size_t>(n), sizeof line - 1));
  } catch (const std::bad_alloc&) {
    base::sys::write_stderr(what.data(), what.size());
  }
  return 1;
}

}  // namespace ramie::inline v0
