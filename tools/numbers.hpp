// How the commands of `ramie` print numbers, in any locale.
#pragma once

#include <cstdint>
#include <string>

namespace tool {

/// 14744 -> "14,744"
std::string with_commas(std::uint64_t number);

}  // namespace tool
