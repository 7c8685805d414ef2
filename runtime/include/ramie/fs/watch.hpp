// Watcher: reports changes in directories and files (inotify).
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace ramie::inline v0::fs {

/// A kind of change; as an argument, the kinds to report. Combine with |.
enum class Change : std::uint16_t {
  created = 1,      // a name in the directory was made, also for a hard link
  removed = 2,      // a name in the directory was removed
  moved_from = 4,   // a name in the directory was renamed away; see the cookie
  moved_to = 8,     // a name in the directory that a rename made or replaced
  modified = 16,    // content was written or truncated
  written = 32,     // a writer has closed it
  attributes = 64,  // permissions, owner, times, number of links
  moved = 128,      // the watched object itself was renamed; the watch goes on
  all = 255,
  // These are reported without being asked for:
  gone = 256,      // the watch has ended, and this is its last event: the object was removed, its
                   // file system was unmounted, or remove() was called
  overflow = 512,  // the kernel's queue was full and changes are lost: read everything again
};
constexpr Change operator|(Change a, Change b) noexcept {
  return static_cast<Change>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Change set, Change one) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// Identifies a watch of a Watcher. Values are never reused.
struct WatchId {
  int value = -1;
  friend bool operator==(WatchId, WatchId) noexcept = default;
};

struct WatchEvent {
  Change change = Change::overflow;  // exactly one
  WatchId watch;                     // no watch for an overflow
  std::string name;                  // in the watched directory; empty for the directory itself
  std::uint32_t cookie = 0;          // pairs moved_from and moved_to of one rename
  bool is_directory = false;         // whether the object that changed is one
};

/// Reports changes in the order in which they happened. A watch of a directory covers what is
/// directly in it, not what is below. Equal changes that follow each other unread may be reported
/// as one.
class Watcher {
 public:
  RAMIE_API Watcher() noexcept;
  RAMIE_API Watcher(Watcher&& other) noexcept;
  RAMIE_API Watcher& operator=(Watcher&& other) noexcept;
  RAMIE_API ~Watcher();

  /// Makes a watcher that watches nothing yet.
  /// Errors   no_runtime, shutting_down; too_many_files_open (also if fs.inotify.max_user_instances
  ///          is reached), not_enough_memory. Throws std::bad_alloc.
  /// Threads  those that run fibers or have entered a runtime.
  [[nodiscard]] RAMIE_API static Result<Watcher> create();

  /// Watches a file or directory until it is removed. Follows symbolic links. Reports changes from
  /// then on. A file or directory that is watched already, under any name, keeps its watch, which
  /// reports `changes` from now on.
  /// Returns  the watch.
  /// Errors   no_such_file_or_directory, permission_denied; no_space_on_device
  ///          (fs.inotify.max_user_watches is reached); invalid_argument (a NUL in the path, or no
  ///          kind of change), bad_file_descriptor if nothing is open; canceled, timed_out,
  ///          shutting_down; resource_unavailable_try_again if no thread could be started. Throws
  ///          std::bad_alloc.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any number.
  /// Cancel   safe: on a cancel's error nothing is watched.
  [[nodiscard]] RAMIE_API Result<WatchId> add(PathRef path, Change changes = Change::all);

  /// Ends a watch. What it saw before is still reported; then comes `gone`.
  /// Errors   invalid_argument if it has ended already; bad_file_descriptor if nothing is open.
  /// Threads  any number.
  RAMIE_API Result<void> remove(WatchId watch) noexcept;

  /// Waits for the next change.
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

}  // namespace ramie::inline v0::fs
