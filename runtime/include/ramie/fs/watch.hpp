// Being told what changes in directories and files (inotify).
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace ramie {
inline namespace v0 {
namespace fs {

/// What happened; as an argument: what to be told of. Combine with |.
enum class Change : std::uint16_t {
  created = 1,      // a name in the directory, also of a link
  removed = 2,      // a name in the directory
  moved_from = 4,   // a name in the directory, away; the cookie pairs it with
  moved_to = 8,     // a name in the directory, new or replaced
  modified = 16,    // content was written or cut
  written = 32,     // who had it open for writing has closed it
  attributes = 64,  // permissions, owner, times, number of links
  moved = 128,      // what is watched itself; it is watched on under its new name
  all = 255,
  // These need no asking:
  gone = 256,      // the watch has ended, and this is the last of it: what was watched was removed,
                   // or its file system unmounted, or remove() was called
  overflow = 512,  // more changes than the kernel keeps: some are lost; look at everything anew
};
constexpr Change operator|(Change a, Change b) noexcept {
  return static_cast<Change>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Change set, Change one) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// One of a Watcher's watches; never given out twice.
struct WatchId {
  int value = -1;
  friend bool operator==(WatchId, WatchId) noexcept = default;
};

struct WatchEvent {
  Change change = Change::overflow;  // exactly one
  WatchId watch;                     // none for an overflow
  std::string name;                  // in the watched directory; empty if it is that itself
  std::uint32_t cookie = 0;          // the same in moved_from and moved_to of one rename
  bool is_directory = false;         // the thing that has changed
};

/// Tells what changes, in the order in which it did. A directory is watched with what is directly
/// in it, not below. Equal changes that follow each other unread may be told as one.
class Watcher {
 public:
  RAMIE_API Watcher() noexcept;
  RAMIE_API Watcher(Watcher&& other) noexcept;
  RAMIE_API Watcher& operator=(Watcher&& other) noexcept;
  RAMIE_API ~Watcher();

  /// Makes a watcher that watches nothing yet.
  /// Returns  the watcher.
  /// Errors   no_runtime, shutting_down; too_many_files_open (also: fs.inotify.max_user_instances
  ///          is reached), not_enough_memory. Throws std::bad_alloc.
  /// Blocks   never.
  /// Threads  any that runs fibers or has entered a runtime.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API static Result<Watcher> create();

  /// Watches a file or directory, through symbolic links, until it is removed. What changes from
  /// then on is told. A file or directory that is watched already, under whatever name, keeps its
  /// watch, which tells of `changes` from now on.
  /// Returns  the watch.
  /// Errors   no_such_file_or_directory, permission_denied; no_space_on_device
  ///          (fs.inotify.max_user_watches is reached); invalid_argument (a NUL in the path, or
  ///          nothing to be told of), bad_file_descriptor if nothing is open; canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again if no thread could be had. Throws
  ///          std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number.
  /// Cancel   safe: on a cancel's error nothing is watched.
  [[nodiscard]] RAMIE_API Result<WatchId> add(PathRef path, Change changes = Change::all);

  /// Ends a watch. What it saw before is still told; then comes `gone`.
  /// Returns  success.
  /// Errors   invalid_argument if it has ended already; bad_file_descriptor if nothing is open.
  /// Blocks   never.
  /// Threads  any number.
  /// Cancel   not a wait.
  RAMIE_API Result<void> remove(WatchId watch) noexcept;

  /// Waits for the next change.
  /// Returns  the change.
  /// Errors   bad_file_descriptor if nothing is open; canceled, timed_out, shutting_down,
  ///          already_waiting. Throws std::bad_alloc.
  /// Blocks   this fiber.
  /// Threads  one at a time; a second one that waits gets `already_waiting`.
  /// Cancel   safe: no change is lost.
  [[nodiscard]] RAMIE_API Result<WatchEvent> next();

  bool is_open() const noexcept { return state_ != nullptr; }

 private:
  struct State;
  explicit Watcher(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace fs
}  // namespace v0
}  // namespace ramie
