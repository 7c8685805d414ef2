// Names of files: moving and removing them, links, permissions; and copying what a name stands for.
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <string>

namespace ramie {
inline namespace v0 {
namespace fs {

/// Gives a file or directory another name, on the same file system. What has the name `to` is
/// replaced, in one step: nobody sees neither or a part.
/// Returns  success.
/// Errors   no_such_file_or_directory, cross_device_link, is_a_directory, not_a_directory,
///          directory_not_empty, permission_denied, ...; invalid_argument (a NUL in a path, or a
///          directory into itself), filename_too_long, not_enough_memory; canceled, timed_out,
///          shutting_down; resource_unavailable_try_again if no thread could be had. Throws
///          std::bad_alloc.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error nothing was renamed.
[[nodiscard]] RAMIE_API Result<void> rename(PathRef from, PathRef to);
/// The same, but replaces nothing: file_exists if something has the name `to`; invalid_argument
/// where the file system or the kernel cannot promise that.
[[nodiscard]] RAMIE_API Result<void> rename_no_replace(PathRef from, PathRef to);

/// Removes a name that is not a directory's; a symbolic link, not what it leads to. The file itself
/// goes with its last name and descriptor.
/// Returns  success.
/// Errors   no_such_file_or_directory, is_a_directory, permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error nothing was removed.
[[nodiscard]] RAMIE_API Result<void> remove_file(PathRef path);

/// Gives the file `original` a second name, `link`; of a symbolic link: that link itself.
/// Returns  success.
/// Errors   file_exists, no_such_file_or_directory, cross_device_link, operation_not_permitted (a
///          directory), too_many_links, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error nothing was made.
[[nodiscard]] RAMIE_API Result<void> hard_link(PathRef original, PathRef link);

/// Makes the symbolic link `link`, which says `target`. That need not exist; if it is relative, it
/// is so to the link's directory.
/// Returns  success.
/// Errors   file_exists, no_such_file_or_directory (the link's directory, or an empty target),
///          permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error nothing was made.
[[nodiscard]] RAMIE_API Result<void> symlink(PathRef target, PathRef link);

/// What a symbolic link says.
/// Returns  its target, as it was given.
/// Errors   invalid_argument if it is no symbolic link; no_such_file_or_directory, ...; else as
///          rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<std::string> read_link(PathRef path);

/// The absolute path of something that exists, without symbolic links, "." and "..".
/// Returns  the path.
/// Errors   no_such_file_or_directory, not_a_directory, too_many_symbolic_link_levels,
///          permission_denied, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<std::string> canonicalize(PathRef path);

/// Sets the permission bits of a file or directory (at most 07777), through symbolic links. The
/// umask does not count.
/// Returns  success.
/// Errors   operation_not_permitted (not the owner), no_such_file_or_directory,
///          read_only_file_system, ...; else as rename().
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   safe: on a cancel's error nothing was changed.
[[nodiscard]] RAMIE_API Result<void> set_permissions(PathRef path, std::uint32_t mode);

/// Copies the content and the permission bits (rwx, whatever the umask is) of the file `from` to
/// the file `to`, which is made, or replaced in place: its owner and its other names stay. Symbolic
/// links are followed. The kernel moves the data where it can. Nothing is synced; holes may be
/// filled.
/// Returns  bytes copied: what `from` held, also where its size is said to be 0 (/proc).
/// Errors   invalid_argument if both are the same file, which stays as it is, or if one of them is
///          no regular file; is_a_directory, no_such_file_or_directory, no_space_on_device, ...;
///          else as rename(). On an error after the copy began `to` holds a part.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any.
/// Cancel   ends it within 8 MiB; `to` holds a part. May be retried: it begins anew.
[[nodiscard]] RAMIE_API Result<std::uint64_t> copy(PathRef from, PathRef to);

}  // namespace fs
}  // namespace v0
}  // namespace ramie
