// Removes a directory and everything in it, as part of a sequence.
#pragma once

#include "runtime/fs/calls.hpp"

#include <string>

namespace ramie::inline v0::fs {

Result<void> remove_all(Calls& calls, std::string path);

}  // namespace ramie::inline v0::fs
