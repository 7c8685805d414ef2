// Temporary files and directories: gone when they are no longer needed.
#pragma once

#include <ramie/fs/file.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace fs {

/// A file without a name, for its owner only (0600), open for reading and writing; the kernel frees
/// it when it is closed, however the program ends. File systems that know no such file (NFS) give
/// it a hidden name in its directory until then; that stays behind if the program is killed.
class TempFile {
 public:
  TempFile() noexcept = default;
  TempFile(TempFile&& other) noexcept
      : file_(std::move(other.file_)), name_(std::exchange(other.name_, {})) {}
  RAMIE_API TempFile& operator=(TempFile&& other) noexcept;
  RAMIE_API ~TempFile();

  /// Makes one in the directory for such things: $TMPDIR, or /tmp.
  /// Returns  the file.
  /// Errors   permission_denied, no_space_on_device, too_many_files_open, read_only_file_system,
  ///          not_a_directory, no_such_file_or_directory ($TMPDIR), ...; not_enough_memory;
  ///          canceled, timed_out, shutting_down; resource_unavailable_try_again if no thread could
  ///          be had. Throws std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: nothing stays.
  [[nodiscard]] RAMIE_API static Result<TempFile> create();
  /// Makes one on the file system of `directory`: where persist() is to give it a name.
  [[nodiscard]] RAMIE_API static Result<TempFile> create_in(PathRef directory);

  /// To be read and written.
  File& file() noexcept { return file_; }
  bool is_open() const noexcept { return file_.is_open(); }

  /// Gives the file a name, to stay. What has that name is replaced, in one step: others see the
  /// old file or the whole new one. file() stays open. To be safe from a power cut call
  /// file().sync_all() before. Its permissions stay 0600 until file().set_permissions().
  /// Returns  success.
  /// Errors   cross_device_link, no_such_file_or_directory (the directory, or no /proc is mounted),
  ///          is_a_directory, permission_denied, ...; bad_file_descriptor if nothing is open; else
  ///          as create(). Then the file may be persisted elsewhere; it may have got a hidden name
  ///          beside `path`, which goes when it is closed.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   safe: on a cancel's error it has no new name.
  [[nodiscard]] RAMIE_API Result<void> persist(PathRef path);
  /// The same, but replaces nothing: file_exists.
  [[nodiscard]] RAMIE_API Result<void> persist_no_replace(PathRef path);

 private:
  enum class Replace : bool { no, yes };
  TempFile(File file, std::string name) noexcept : file_(std::move(file)), name_(std::move(name)) {}
  Result<void> persist(PathRef path, Replace replace);
  void remove_name() noexcept;

  File file_;
  std::string name_;  // absolute; empty if it has none
};

/// A directory for its owner only (0700), removed with all that is in it when this object is
/// destroyed; what stands in the way of that is not told: see close().
class TempDir {
 public:
  TempDir() noexcept = default;
  TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  RAMIE_API TempDir& operator=(TempDir&& other) noexcept;
  /// Removes it. No cancel ends that; this fiber waits for it, outside a fiber the thread does.
  RAMIE_API ~TempDir();

  /// Makes one in the directory for such things: $TMPDIR, or /tmp. Its name is `prefix` and
  /// something random.
  /// Returns  the directory.
  /// Errors   invalid_argument (a slash or NUL in `prefix`); else as TempFile::create().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any.
  /// Cancel   safe: nothing stays.
  [[nodiscard]] RAMIE_API static Result<TempDir> create(std::string_view prefix = "ramie-");
  /// Makes one in `directory`.
  [[nodiscard]] RAMIE_API static Result<TempDir> create_in(PathRef directory,
                                                           std::string_view prefix = "ramie-");

  /// Absolute, without symbolic links; empty if there is none.
  const std::string& path() const noexcept { return path_; }

  /// Removes it now.
  /// Returns  success; also if it is gone already.
  /// Errors   as remove_dir_all(); then a part of it is left, and the destructor tries once more.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   ends it between two removals: may be retried.
  [[nodiscard]] RAMIE_API Result<void> close();
  /// Leaves it where it is, for good.
  /// Returns  its path.
  /// Errors   none.
  /// Blocks   never.
  /// Threads  one at a time.
  /// Cancel   not a wait.
  std::string keep() noexcept { return std::exchange(path_, {}); }

 private:
  explicit TempDir(std::string path) noexcept : path_(std::move(path)) {}
  void remove() noexcept;

  std::string path_;
};

}  // namespace fs
}  // namespace v0
}  // namespace ramie
