// statx(2) as one call of a sequence.
#pragma once

#include "runtime/fs/calls.hpp"

#include <ramie/fs/metadata.hpp>

#include <cstdint>
#include <optional>

namespace ramie::inline v0::fs {

// `flags`: AT_SYMLINK_NOFOLLOW, or AT_EMPTY_PATH with an empty path for `at` itself.
Result<Metadata> stat(Calls& calls, int at, const char* path, int flags);

// In a fiber: the metadata of an open file, if the kernel knows it without asking others.
std::optional<Metadata> known_metadata(int fd) noexcept;

// The likely size of an open file: what the kernel knows without asking a server.
Result<std::uint64_t> likely_size(Calls& calls, int fd);

}  // namespace ramie::inline v0::fs
