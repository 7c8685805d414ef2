// Directories: making, listing and removing them.
#pragma once

#include <ramie/fs/metadata.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ramie {
inline namespace v0 {
namespace fs {

/// Makes a directory. `mode` is lowered by the process's umask.
/// Returns  success.
/// Errors   file_exists (whatever it is), no_such_file_or_directory (its parent),
///          permission_denied, read_only_file_system, no_space_on_device, ...; invalid_argument (a
///          NUL in the path), filename_too_long, not_enough_memory; canceled, timed_out,
///          shutting_down; resource_unavailable_try_again if no thread could be had. Throws
///          std::bad_alloc.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error it was not made.
[[nodiscard]] RAMIE_API Result<void> create_dir(PathRef path, std::uint32_t mode = 0777);

/// Makes a directory and those on the way to it that are missing, all with `mode`.
/// Returns  success; also if it was there, or another made it meanwhile.
/// Errors   as create_dir(); file_exists if something else has its name; not_a_directory.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: may be retried; some of the directories may have been made.
[[nodiscard]] RAMIE_API Result<void> create_dir_all(PathRef path, std::uint32_t mode = 0777);

/// Removes an empty directory.
/// Returns  success.
/// Errors   directory_not_empty, not_a_directory, no_such_file_or_directory, permission_denied,
///          device_or_resource_busy (a mount point), ...; else as create_dir().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error it was not removed.
[[nodiscard]] RAMIE_API Result<void> remove_dir(PathRef path);

/// Removes a directory with all that is in it. Symbolic links are removed and never followed,
/// `path` itself included (also with a slash behind it), even if somebody puts one in the place of
/// a directory meanwhile. Trees may be of any depth; a few descriptors are enough.
/// Returns  success.
/// Errors   not_a_directory, no_such_file_or_directory; invalid_argument and
///          device_or_resource_busy without touching anything for a path that ends in "." or ".."
///          and for "/"; directory_not_empty or device_or_resource_busy if others keep filling or
///          moving it; permission_denied, too_many_files_open, ...; else as create_dir(). The first
///          error ends it: a part is gone.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   ends it between two removals: may be retried.
[[nodiscard]] RAMIE_API Result<void> remove_dir_all(PathRef path);

/// One name in a directory, as it was when it was read.
class DirEntry {
 public:
  /// Within its directory.
  const std::string& name() const noexcept { return name_; }
  /// The directory's path, as it was given to read_dir(), with the name.
  RAMIE_API std::string path() const;
  /// What it is; of a symbolic link: that it is one.
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

/// The names in a directory, in no order; "." and ".." are left out. What is there from the first
/// next() to the last is listed once; what comes or goes meanwhile may be listed or not.
class ReadDir {
 public:
  RAMIE_API ReadDir() noexcept;
  RAMIE_API ReadDir(ReadDir&& other) noexcept;
  RAMIE_API ReadDir& operator=(ReadDir&& other) noexcept;
  RAMIE_API ~ReadDir();

  /// Takes the next name. Many are read at a time: most calls do not wait.
  /// Returns  the entry; nullopt at the end, and from then on; also if the directory was removed.
  /// Errors   bad_file_descriptor if nothing is open; io_error; canceled, timed_out, shutting_down;
  ///          resource_unavailable_try_again if no thread could be had. Throws std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   safe: no name is lost.
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
/// Returns  the stream of its names.
/// Errors   not_a_directory, no_such_file_or_directory, permission_denied, too_many_files_open,
///          ...; else as create_dir().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: nothing stays open.
[[nodiscard]] RAMIE_API Result<ReadDir> read_dir(PathRef path);

}  // namespace fs
}  // namespace v0
}  // namespace ramie
