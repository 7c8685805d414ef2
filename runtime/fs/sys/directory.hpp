// The system calls of directories and names, in the form of file.hpp. A path is relative to a
// directory's descriptor or to AT_FDCWD.
#pragma once

#include "runtime/fs/sys/file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ramie::inline v0::fs::sys {

Count make_dir(int dir, const char* path, unsigned mode) noexcept;
// `flags`: AT_REMOVEDIR or none.
Count remove(int dir, const char* path, int flags) noexcept;
// `flags` are RENAME_*.
Count rename(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept;
// `flags`: AT_SYMLINK_FOLLOW or none.
Count link(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept;
Count symlink(const char* target, int dir, const char* path) noexcept;
// Returns the length of the target. If that is the size of `buffer`, the target may be longer.
Count read_link(int dir, const char* path, std::span<char> buffer) noexcept;
Count change_mode(int dir, const char* path, unsigned mode) noexcept;
// Stores the absolute path without links in `resolved`.
Count resolve(const char* path, std::string& resolved);

// Fills `buffer` with entries of the directory. Returns 0 at the end.
Count list(int fd, std::span<std::byte> buffer) noexcept;

// One of the entries that list() stored.
struct RawEntry {
  std::uint64_t inode;
  unsigned char type;  // DT_*
  std::string_view name;
  std::size_t size;  // of the entry in the buffer
};
RawEntry entry_at(std::span<const std::byte> buffer) noexcept;
// Stores the type for the next entry_at().
void set_type(std::span<std::byte> buffer, unsigned char type) noexcept;
bool is_dots(std::string_view name) noexcept;  // "." or ".."

// Copies from position to position and moves both. Moves at most `size` bytes; returns 0 at the
// end.
Count copy_range(int from, int to, std::size_t size) noexcept;

}  // namespace ramie::inline v0::fs::sys
