// `ramie doctor`: what this machine gives to Ramie, and what to do about it.
#pragma once

#include <span>
#include <string_view>

namespace doctor {

/// Arguments behind `ramie doctor`. `version` is Ramie's.
/// Returns  0; 1 if something is bad; 2 for bad usage.
int doctor_command(std::span<const std::string_view> args, std::string_view version);

}  // namespace doctor
