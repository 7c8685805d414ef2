// Names of files: rename, remove, link, set permissions; and copy files.
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <string>

namespace ramie::inline v0::fs {

/// Gives a file or directory another name on the same file system. What had the name `to` is
/// replaced in one step: at every moment the name `to` is the old or the new file.
/// Errors   no_such_file_or_directory, cross_device_link, is_a_directory, not_a_directory,
///          directory_not_empty, permission_denied, ...; invalid_argument (a NUL in a path, or a
///          directory into itself), filename_too_long, not_enough_memory; canceled, timed_out,
///          shutting_down; resource_unavailable_try_again if no thread could be started. Throws
///          std::bad_alloc.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error nothing was renamed.
[[nodiscard]] RAMIE_API Result<void> rename(PathRef from, PathRef to);
/// The same, but does not replace: file_exists if the name `to` exists; invalid_argument where the
/// file system or the kernel cannot guarantee that.
[[nodiscard]] RAMIE_API Result<void> rename_no_replace(PathRef from, PathRef to);

/// Removes a name, except that of a directory. Removes a symbolic link itself, not its target. The
/// file is deleted with its last name and descriptor.
/// Errors   no_such_file_or_directory, is_a_directory, permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error nothing was removed.
[[nodiscard]] RAMIE_API Result<void> remove_file(PathRef path);

/// Gives the file `original` a second name, `link`. If `original` is a symbolic link, that link
/// gets the second name.
/// Errors   file_exists, no_such_file_or_directory, cross_device_link, operation_not_permitted (a
///          directory), too_many_links, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error nothing was made.
[[nodiscard]] RAMIE_API Result<void> hard_link(PathRef original, PathRef link);

/// Makes a symbolic link `link` to `target`. The target need not exist. A relative target is
/// relative to the link's directory.
/// Errors   file_exists, no_such_file_or_directory (the link's directory, or an empty target),
///          permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error nothing was made.
[[nodiscard]] RAMIE_API Result<void> symlink(PathRef target, PathRef link);

/// Reads the target of a symbolic link.
/// Returns  the target, as it was given to symlink().
/// Errors   invalid_argument if it is no symbolic link; no_such_file_or_directory, ...; else as
///          rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<std::string> read_link(PathRef path);

/// Returns the absolute path of an existing file, without symbolic links, "." and "..".
/// Errors   no_such_file_or_directory, not_a_directory, too_many_symbolic_link_levels,
///          permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<std::string> canonicalize(PathRef path);

/// Sets the permission bits of a file or directory (at most 07777). Follows symbolic links. The
/// umask has no effect.
/// Errors   operation_not_permitted (not the owner), no_such_file_or_directory,
///          read_only_file_system, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   safe: on a cancel's error nothing was changed.
[[nodiscard]] RAMIE_API Result<void> set_permissions(PathRef path, std::uint32_t mode);

/// Copies the content and the permission bits (rwx, without regard to the umask) of the file `from`
/// to the file `to`. Makes `to`, or replaces its content and leaves its owner and its other names
/// as they are. Follows symbolic links. The kernel moves the data where it can. Nothing is
/// synchronised; holes may be filled.
/// Returns  bytes copied. This is the real size of `from`, also where the file system reports 0
///          (/proc).
/// Errors   invalid_argument if both are the same file, which stays as it is, or if one of them is
///          no regular file; is_a_directory, no_such_file_or_directory, no_space_on_device, ...;
///          else as rename(). On an error after the copy began, `to` holds a part.
/// Blocks   this fiber; outside a fiber, this thread.
/// Cancel   takes effect within 8 MiB; `to` holds a part. A retry starts from the beginning.
[[nodiscard]] RAMIE_API Result<std::uint64_t> copy(PathRef from, PathRef to);

}  // namespace ramie::inline v0::fs
