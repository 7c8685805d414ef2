// Removes a tree. It opens each directory through the descriptor of its parent, so that a symbolic
// link that replaces a directory meanwhile is not followed (CVE-2022-21658). It never uses a path,
// because what a path leads to can change between two calls.
//
//     levels_:  path  >  a  >  b  >  c      from the top to the current directory; on the heap
//               closed   open  open  open   at most kOpen descriptors; the way back up is "..",
//                                           which must be the directory that we came from
//
// It reads a directory piece by piece. It removes entries that are no directories at once, and
// enters the directories before it reads the next piece. At the end it calls rmdir. That fails if
// other processes added entries, or if the listing left some out because others before them were
// removed. Then the directory is read again, as long as that finds something.
#include "runtime/fs/remove_all.hpp"

#include "io/sys/fd.hpp"
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/sys/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace ramie::inline v0::fs {

namespace {

using io::sys::UniqueFd;

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

class Remover {
 public:
  Remover(Calls& calls, std::string path) : calls_(calls), path_(std::move(path)) {}

  Result<void> run();

 private:
  static constexpr std::size_t kOpen = 16;
  static constexpr int kTries = 8;     // starts from the top, if others move the tree
  static constexpr int kPasses = 100;  // passes over one directory, if others fill it
  enum class Step { next, again };     // again: start from the top

  struct Level {
    UniqueFd fd;
    std::string name;                  // in the directory above
    std::vector<std::string> folders;  // found, not yet entered
    std::uint64_t device = 0;          // identifies it when its descriptor is closed
    std::uint64_t inode = 0;
    int passes = 0;
    bool has_changed = false;  // since the current pass began
  };

  Result<Step> walk();
  Count read_some(Level& level);
  Result<void> enter(Level& level);
  Result<Step> leave();
  Result<void> spare_a_descriptor();
  Result<bool> reopen_above(const Level& level, Level& above);
  Result<void> remove_what_is_no_directory();

  std::unexpected<std::error_code> failed(Count rc) const noexcept {
    return failure(calls_.code(rc));
  }

  Calls& calls_;
  std::string path_;
  std::vector<Level> levels_;
  std::unique_ptr<std::array<std::byte, 32768>> buffer_ =
      std::make_unique<std::array<std::byte, 32768>>();
};

// Removes trailing slashes, because they would make the kernel follow a link.
Result<void> Remover::run() {
  const bool is_empty = path_.empty();
  while (!path_.empty() && path_.back() == '/') path_.pop_back();
  if (path_.empty() && !is_empty) return failed(-EBUSY);
  const std::size_t slash = path_.rfind('/');
  const auto last = std::string_view(path_).substr(slash == std::string::npos ? 0 : slash + 1);
  if (sys::is_dots(last)) return failed(-EINVAL);
  for (int i = 0; i < kTries; ++i) {
    levels_.clear();
    const Count fd = open_at(calls_, AT_FDCWD, path_.c_str(), kOpenDir);
    if (fd == -ENOTDIR || fd == -ELOOP) return remove_what_is_no_directory();
    if (fd < 0) return failed(fd);
    UniqueFd owned(static_cast<int>(fd));
    levels_.emplace_back().fd = std::move(owned);
    auto step = walk();
    if (!step) return failure(step.error());
    if (*step == Step::next) return {};
  }
  return failed(-EBUSY);
}

Result<void> Remover::remove_what_is_no_directory() {
  auto data = stat(calls_, AT_FDCWD, path_.c_str(), AT_SYMLINK_NOFOLLOW);
  if (!data) return failure(data.error());
  if (!data->is_symlink()) return failed(-ENOTDIR);
  return calls_.outcome(remove(calls_, AT_FDCWD, path_.c_str(), 0));
}

// Returns Step::next if everything is removed.
Result<Remover::Step> Remover::walk() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (!level.folders.empty()) {
      if (auto entered = enter(level); !entered) return failure(entered.error());
      continue;
    }
    const Count rc = read_some(level);
    if (rc < 0) return failed(rc);
    if (rc > 0) continue;
    auto left = leave();
    if (!left || *left == Step::again) return left;
  }
  return Step::next;
}

// Reads and handles one piece of the directory. Returns 0 at its end.
Count Remover::read_some(Level& level) {
  const std::span<std::byte> buffer(*buffer_);
  const Count n = calls_.perform([&] { return sys::list(level.fd.get(), buffer); });
  if (n == -ENOENT) return 0;  // removed by another
  for (std::size_t at = 0; n > 0 && at < static_cast<std::size_t>(n);) {
    const sys::RawEntry entry = sys::entry_at(buffer.subspan(at));
    at += entry.size;
    if (sys::is_dots(entry.name)) continue;
    Count rc = -EISDIR;
    if (entry.type != DT_DIR) rc = remove(calls_, level.fd.get(), entry.name.data(), 0);
    if (rc == -EISDIR) level.folders.emplace_back(entry.name);
    else if (rc != 0 && rc != -ENOENT) return rc;
    level.has_changed = true;
  }
  return n;
}

Result<void> Remover::enter(Level& level) {
  const std::string name = std::move(level.folders.back());
  level.folders.pop_back();
  const Count fd = open_at(calls_, level.fd.get(), name.c_str(), kOpenDir);
  if (fd >= 0) {
    UniqueFd owned(static_cast<int>(fd));
    Level& below = levels_.emplace_back();
    below.fd = std::move(owned);
    below.name = name;
    return spare_a_descriptor();
  }
  Count rc = fd;
  if (fd == -ENOTDIR || fd == -ELOOP) rc = remove(calls_, level.fd.get(), name.c_str(), 0);
  // Without the right to read a directory it can still be removed if it is empty.
  if (fd == -EACCES && remove(calls_, level.fd.get(), name.c_str(), AT_REMOVEDIR) == 0) rc = 0;
  if (rc == -ENOENT || rc == -EISDIR) rc = 0;  // removed by another, or the next pass finds it
  return calls_.outcome(rc);
}

Result<void> Remover::spare_a_descriptor() {
  if (levels_.size() <= kOpen) return {};
  Level& level = levels_[levels_.size() - 1 - kOpen];
  if (!level.fd.is_open()) return {};
  auto data = stat(calls_, level.fd.get(), "", AT_EMPTY_PATH);
  if (!data) return failure(data.error());
  level.device = data->device;
  level.inode = data->inode;
  level.fd.reset();
  return {};
}

// Returns false if ".." is not the directory that we came from.
Result<bool> Remover::reopen_above(const Level& level, Level& above) {
  const Count fd = open_at(calls_, level.fd.get(), "..", kOpenDir);
  if (fd == -ENOENT) return false;
  if (fd < 0) return failed(fd);
  above.fd.reset(static_cast<int>(fd));
  auto data = stat(calls_, above.fd.get(), "", AT_EMPTY_PATH);
  if (!data) return failure(data.error());
  return data->device == above.device && data->inode == above.inode;
}

// The last level was read to its end: removes it and goes up one level.
Result<Remover::Step> Remover::leave() {
  Level& level = levels_.back();
  Level* above = levels_.size() == 1 ? nullptr : &levels_[levels_.size() - 2];
  if (above != nullptr && !above->fd.is_open()) {
    auto is_same = reopen_above(level, *above);
    if (!is_same) return failure(is_same.error());
    if (!*is_same) return Step::again;
  }
  const int at = above == nullptr ? AT_FDCWD : above->fd.get();
  const char* name = above == nullptr ? path_.c_str() : level.name.c_str();
  Count rc = remove(calls_, at, name, AT_REMOVEDIR);
  if (rc == -ENOTEMPTY || rc == -EEXIST) {
    if (!level.has_changed) return Step::again;  // it is not the directory that we emptied
    if (++level.passes > kPasses) return failed(rc);
    const Count fd = open_at(calls_, level.fd.get(), ".", kOpenDir);
    if (fd < 0) return fd == -ENOENT ? Result<Step>(Step::again) : failed(fd);
    level.fd.reset(static_cast<int>(fd));
    level.has_changed = false;
    return Step::next;
  }
  if (rc == -ENOTDIR && above != nullptr) rc = remove(calls_, at, name, 0);
  if (rc == -EISDIR) return Step::again;
  if (rc != 0 && rc != -ENOENT) return failed(rc);
  if (above != nullptr) above->has_changed = true;
  levels_.pop_back();
  return Step::next;
}

}  // namespace

Result<void> remove_all(Calls& calls, std::string path) {
  return Remover(calls, std::move(path)).run();
}

}  // namespace ramie::inline v0::fs
