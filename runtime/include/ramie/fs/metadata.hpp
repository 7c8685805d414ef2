// What the file system knows about a file.
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace ramie::inline v0::fs {

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

/// Metadata of a file (statx). Times have the file system's resolution, at best nanoseconds.
struct Metadata {
  using Time = std::chrono::system_clock::time_point;

  FileType type = FileType::unknown;
  std::uint32_t mode = 0;  // the permission bits: at most 07777
  std::uint64_t size = 0;  // bytes; for a symbolic link the length of its target
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t device = 0;  // device and inode identify the file; see makedev(3)
  std::uint64_t inode = 0;
  std::uint64_t links = 0;
  std::uint64_t blocks = 0;      // allocated, in units of 512 bytes
  std::uint32_t block_size = 0;  // bytes; a good size for transfers
  Time modified;                 // last change of the content
  Time accessed;
  Time changed;                 // last change of the content or the metadata
  std::optional<Time> created;  // not every file system keeps it

  bool is_file() const noexcept { return type == FileType::file; }
  bool is_directory() const noexcept { return type == FileType::directory; }
  bool is_symlink() const noexcept { return type == FileType::symlink; }
};

/// Reads the metadata of a file. Follows symbolic links.
/// Errors   no_such_file_or_directory, permission_denied, not_a_directory,
///          too_many_symbolic_link_levels, filename_too_long; invalid_argument (a NUL in the path),
///          not_enough_memory; canceled, timed_out, shutting_down; resource_unavailable_try_again
///          if no thread could be started.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<Metadata> metadata(PathRef path);
/// The same, but if the last part of the path is a symbolic link, the metadata is the link's.
[[nodiscard]] RAMIE_API Result<Metadata> symlink_metadata(PathRef path);

/// Returns whether a path exists. Other processes may make or remove it at any time: to make a file
/// that must not exist yet, use OpenOptions::create_new().
/// Returns  false if a part of the path does not exist, or a symbolic link leads nowhere.
/// Errors   as metadata(), if it could not be found out.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: may be retried.
[[nodiscard]] RAMIE_API Result<bool> exists(PathRef path);

}  // namespace ramie::inline v0::fs
