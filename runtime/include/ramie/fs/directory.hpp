// Directories: making, listing and removing them.
#pragma once

#include <ramie/fs/metadata.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ramie::inline v0::fs {

/// Makes a directory. The process's umask is taken off `mode`.
/// Errors   file_exists (of any type), no_such_file_or_directory (its parent), permission_denied,
///          read_only_file_system, no_space_on_device, ...; invalid_argument (a NUL in the path),
///          filename_too_long, not_enough_memory; canceled, timed_out, shutting_down;
///          resource_unavailable_try_again if no thread could be started. Throws std::bad_alloc.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error the directory was not made.
[[nodiscard]] RAMIE_API Result<void> create_dir(PathRef path, std::uint32_t mode = 0777);

/// Makes a directory and its missing parents, all with `mode`.
/// Returns  success, also if the directory existed or another process made it meanwhile.
/// Errors   as create_dir(); file_exists if something else has its name; not_a_directory.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: may be retried; some of the directories may have been made.
[[nodiscard]] RAMIE_API Result<void> create_dir_all(PathRef path, std::uint32_t mode = 0777);

/// Removes an empty directory.
/// Errors   directory_not_empty, not_a_directory, no_such_file_or_directory, permission_denied,
///          device_or_resource_busy (a mount point), ...; else as create_dir().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error the directory was not removed.
[[nodiscard]] RAMIE_API Result<void> remove_dir(PathRef path);

/// Removes a directory and everything in it. Symbolic links are removed and never followed, even if
/// another process replaces a directory by a link meanwhile. That includes `path` itself, also with
/// a slash behind it. A tree may have any depth; a few descriptors are enough.
/// Errors   not_a_directory, no_such_file_or_directory. invalid_argument or
///          device_or_resource_busy, without any change, for a path that ends in "." or ".." and
///          for "/". directory_not_empty or device_or_resource_busy if other processes keep filling
///          or moving the tree. permission_denied, too_many_files_open, ...; else as create_dir().
///          The first error ends the call, and a part of the tree is gone.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   takes effect between two removals; may be retried.
[[nodiscard]] RAMIE_API Result<void> remove_dir_all(PathRef path);

/// One entry of a directory, as it was when it was read.
class DirEntry {
 public:
  /// The name within its directory.
  const std::string& name() const noexcept { return name_; }
  /// The path that was given to read_dir(), followed by the name.
  RAMIE_API std::string path() const;
  /// The type; that of a symbolic link is `symlink`.
  FileType type() const noexcept { return type_; }
  bool is_file() const noexcept { return type_ == FileType::file; }
  bool is_directory() const noexcept { return type_ == FileType::directory; }
  bool is_symlink() const noexcept { return type_ == FileType::symlink; }
  std::uint64_t inode() const noexcept { return inode_; }

 private:
  friend class ReadDir;
  DirEntry(std::shared_ptr<const std::string> directory, std::string name, FileType type,
           std::uint64_t inode) noexcept
      : directory_(std::move(directory)), name_(std::move(name)), inode_(inode), type_(type) {}

  std::shared_ptr<const std::string> directory_;
  std::string name_;
  std::uint64_t inode_;
  FileType type_;
};

/// The entries of a directory, in no order, without "." and "..". An entry that exists from the
/// first next() to the last is listed once. One that is added or removed meanwhile may be listed or
/// not.
class ReadDir {
 public:
  RAMIE_API ReadDir() noexcept;
  RAMIE_API ReadDir(ReadDir&& other) noexcept;
  RAMIE_API ReadDir& operator=(ReadDir&& other) noexcept;
  RAMIE_API ~ReadDir();

  /// Takes the next entry. Reads many at a time, so most calls do not wait.
  /// Returns  the entry; nullopt at the end and from then on, also if the directory was removed.
  /// Errors   bad_file_descriptor if nothing is open; io_error; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again if no thread could be started. Throws std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   safe: no entry is lost.
  [[nodiscard]] RAMIE_API Result<std::optional<DirEntry>> next();

  bool is_open() const noexcept { return state_ != nullptr; }

 private:
  friend RAMIE_API Result<ReadDir> read_dir(PathRef path);
  struct State;
  explicit ReadDir(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

/// Opens a directory to list it:
/// `while (auto entry = or_throw(directory.next())) use(entry->name());`
/// Returns  the stream of its entries.
/// Errors   not_a_directory, no_such_file_or_directory, permission_denied, too_many_files_open,
///          ...; else as create_dir().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: nothing stays open.
[[nodiscard]] RAMIE_API Result<ReadDir> read_dir(PathRef path);

}  // namespace ramie::inline v0::fs
