// Makes and removes directories. read_dir.cpp lists them.
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/remove_all.hpp"
#include "runtime/fs/stat.hpp"

#include <ramie/fs/directory.hpp>

#include <fcntl.h>
#include <algorithm>

namespace ramie::inline v0::fs {

namespace {

// Where the name of the parent of `path` ends; 0 if the parent need not be made.
std::size_t end_of_parent(std::string_view path) noexcept {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  while (!path.empty() && path.back() != '/') path.remove_suffix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return path.size();
}

// Returns success if a directory exists, whoever made it, and whatever mkdir returned for it.
Result<void> made(Calls& calls, Count rc, const char* path) {
  if (rc == 0) return {};
  if (rc != -ECANCELED && rc != -ENOENT) {
    const auto data = stat(calls, AT_FDCWD, path, 0);
    if (data && data->is_directory()) return {};
    if (!data && calls.is_ended()) rc = -ECANCELED;
  }
  return failure(calls.code(rc));
}

// Goes up until a directory can be made or exists, then down again. Meanwhile NULs cut the path.
Result<void> make_all(Calls& calls, std::string path, unsigned mode) {
  std::size_t end = path.size();
  Count rc = make_dir(calls, AT_FDCWD, path.c_str(), mode);
  while (rc == -ENOENT) {
    const std::size_t parent = end_of_parent(std::string_view(path).substr(0, end));
    if (parent == 0) break;
    path[parent] = '\0';
    end = parent;
    rc = make_dir(calls, AT_FDCWD, path.c_str(), mode);
  }
  for (;;) {
    if (auto done = made(calls, rc, path.c_str()); !done || end == path.size()) return done;
    path[end] = '/';
    end = std::min(path.find('\0', end), path.size());
    rc = make_dir(calls, AT_FDCWD, path.c_str(), mode);
  }
}

}  // namespace

Result<void> create_dir(PathRef path, std::uint32_t mode) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run(
      [&](Calls& calls) { return calls.outcome(make_dir(calls, AT_FDCWD, text.c_str(), mode)); });
}

Result<void> create_dir_all(PathRef path, std::uint32_t mode) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run([&](Calls& calls) { return make_all(calls, text.c_str(), mode); });
}

Result<void> remove_dir(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run([&](Calls& calls) {
    return calls.outcome(remove(calls, AT_FDCWD, text.c_str(), AT_REMOVEDIR));
  });
}

Result<void> remove_dir_all(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run_blocking([&](Calls& calls) { return remove_all(calls, text.c_str()); });
}

}  // namespace ramie::inline v0::fs
