// What the file system knows about a file.
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace ramie {
inline namespace v0 {
namespace fs {

enum class FileType : std::uint8_t {
  unknown,
  file,
  directory,
  symlink,
  block_device,
  character_device,
  fifo,
  socket,
};

/// One look at a file (statx). Times are the file system's, in nanoseconds where it keeps them.
struct Metadata {
  using Time = std::chrono::system_clock::time_point;

  FileType type = FileType::unknown;
  std::uint32_t mode = 0;  // the permission bits: at most 07777
  std::uint64_t size = 0;  // bytes; of a symbolic link: the length of its target
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t device = 0;  // with inode: which file it is; see makedev(3)
  std::uint64_t inode = 0;
  std::uint64_t links = 0;
  std::uint64_t blocks = 0;      // of 512 bytes, as allocated
  std::uint32_t block_size = 0;  // a good size for transfers
  Time modified;                 // the content
  Time accessed;
  Time changed;                 // the content or these figures
  std::optional<Time> created;  // not every file system knows

  bool is_file() const noexcept { return type == FileType::file; }
  bool is_directory() const noexcept { return type == FileType::directory; }
  bool is_symlink() const noexcept { return type == FileType::symlink; }
};

/// Looks at a file, through symbolic links.
/// Returns  what the file system says.
/// Errors   no_such_file_or_directory, permission_denied, not_a_directory,
///          too_many_symbolic_link_levels, filename_too_long; invalid_argument (a NUL in the path),
///          not_enough_memory; canceled, timed_out, shutting_down;
///          resource_unavailable_try_again if no thread could be had.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<Metadata> metadata(PathRef path);
/// The same of the link itself, if the last part of the path is a symbolic link.
[[nodiscard]] RAMIE_API Result<Metadata> symlink_metadata(PathRef path);

/// Whether something is there. Others may make or remove it at any time: to make a file that must
/// not exist, open it with create_new().
/// Returns  false if a part of the path does not exist, or a symbolic link leads nowhere.
/// Errors   as metadata(): what kept us from looking.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<bool> exists(PathRef path);

}  // namespace fs
}  // namespace v0
}  // namespace ramie
