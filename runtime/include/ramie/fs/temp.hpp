// Temporary files and directories, which are removed automatically.
#pragma once

#include <ramie/fs/file.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace ramie::inline v0::fs {

/// A file without a name, open for reading and writing, for its owner only (0600). The kernel frees
/// it when it is closed, however the program ends. A file system that does not support this (NFS)
/// gives the file a hidden name in its directory until it is closed; the name stays behind if the
/// program is killed.
class TempFile {
 public:
  TempFile() noexcept = default;
  TempFile(TempFile&& other) noexcept
      : file_(std::move(other.file_)), name_(std::exchange(other.name_, {})) {}
  RAMIE_API TempFile& operator=(TempFile&& other) noexcept;
  RAMIE_API ~TempFile();

  /// Makes a file in the directory for temporary files: $TMPDIR, or /tmp.
  /// Errors   permission_denied, no_space_on_device, too_many_files_open, read_only_file_system,
  ///          not_a_directory, no_such_file_or_directory ($TMPDIR), ...; not_enough_memory;
  ///          canceled, timed_out, shutting_down; resource_unavailable_try_again if no thread could
  ///          be started. Throws std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: nothing stays behind.
  [[nodiscard]] RAMIE_API static Result<TempFile> create();
  /// Makes a file on the file system of `directory`, which is needed if persist() gives it a name
  /// there.
  [[nodiscard]] RAMIE_API static Result<TempFile> create_in(PathRef directory);

  /// The open file.
  File& file() noexcept { return file_; }
  bool is_open() const noexcept { return file_.is_open(); }

  /// Gives the file a permanent name. Replaces what has that name in one step: others see the old
  /// file or the whole new one. file() stays open. To be safe from a power cut, call
  /// file().sync_all() before. The permissions stay 0600 until file().set_permissions().
  /// Errors   cross_device_link, no_such_file_or_directory (the directory, or no /proc is mounted),
  ///          is_a_directory, permission_denied, ...; bad_file_descriptor if nothing is open; else
  ///          as create(). After an error the file may be persisted elsewhere. It may have a hidden
  ///          name beside `path`, which is removed when the file is closed.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   safe: on a cancel's error it has no new name.
  [[nodiscard]] RAMIE_API Result<void> persist(PathRef path);
  /// The same, but does not replace: file_exists if the name exists.
  [[nodiscard]] RAMIE_API Result<void> persist_no_replace(PathRef path);

 private:
  enum class Replace : bool { no, yes };
  TempFile(File file, std::string name) noexcept : file_(std::move(file)), name_(std::move(name)) {}
  Result<void> persist(PathRef path, Replace replace);
  void remove_name() noexcept;

  File file_;
  std::string name_;  // absolute; empty if it has none
};

/// A directory for its owner only (0700). The destructor removes it and everything in it, and drops
/// errors; close() returns them.
class TempDir {
 public:
  TempDir() noexcept = default;
  TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  RAMIE_API TempDir& operator=(TempDir&& other) noexcept;
  /// Removes the directory. No cancel ends that. This fiber waits; outside a fiber, this thread.
  RAMIE_API ~TempDir();

  /// Makes a directory in the directory for temporary files: $TMPDIR, or /tmp. Its name is `prefix`
  /// followed by random characters.
  /// Errors   invalid_argument (a slash or NUL in `prefix`); else as TempFile::create().
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe: nothing stays behind.
  [[nodiscard]] RAMIE_API static Result<TempDir> create(std::string_view prefix = "ramie-");
  /// Makes a directory in `directory`.
  [[nodiscard]] RAMIE_API static Result<TempDir> create_in(PathRef directory,
                                                           std::string_view prefix = "ramie-");

  /// The absolute path, without symbolic links; empty if there is no directory.
  const std::string& path() const noexcept { return path_; }

  /// Removes the directory now.
  /// Returns  success, also if it is gone already.
  /// Errors   as remove_dir_all(). Then a part of it is left, and the destructor tries once more.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time.
  /// Cancel   takes effect between two removals; may be retried.
  [[nodiscard]] RAMIE_API Result<void> close();
  /// Leaves the directory where it is: it will not be removed.
  /// Returns  its path.
  /// Threads  one at a time.
  std::string keep() noexcept { return std::exchange(path_, {}); }

 private:
  explicit TempDir(std::string path) noexcept : path_(std::move(path)) {}
  void remove() noexcept;

  std::string path_;
};

}  // namespace ramie::inline v0::fs
