// `ramie demo`: the whole command.
#pragma once

#include <span>
#include <string_view>

namespace demo {

/// Arguments behind `ramie demo`. Returns the exit status: 0, 1 for a failure, 2 for bad usage.
int demo_command(std::span<const std::string_view> args);

}  // namespace demo
