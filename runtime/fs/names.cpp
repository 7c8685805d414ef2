// Operations on names: one call each.
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/sys/directory.hpp"

#include <ramie/fs/names.hpp>

#include <fcntl.h>
#include <stdio.h>

namespace ramie::inline v0::fs {

namespace {

// Runs `call(Calls&, first, second)` with both paths.
template <class Call>
Result<void> with_two(PathRef first, PathRef second, Call&& call) {
  const KernelPath one(first);
  const KernelPath two(second);
  if (one.error()) return failure(one.error());
  if (two.error()) return failure(two.error());
  return run([&](Calls& calls) { return calls.outcome(call(calls, one.c_str(), two.c_str())); });
}

Result<void> rename_with(PathRef from, PathRef to, unsigned flags) {
  return with_two(from, to, [=](Calls& calls, const char* old_name, const char* new_name) {
    return rename(calls, {AT_FDCWD, old_name}, {AT_FDCWD, new_name}, flags);
  });
}

}  // namespace

Result<void> rename(PathRef from, PathRef to) { return rename_with(from, to, 0); }

Result<void> rename_no_replace(PathRef from, PathRef to) {
  return rename_with(from, to, RENAME_NOREPLACE);
}

Result<void> remove_file(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run([&](Calls& calls) { return calls.outcome(remove(calls, AT_FDCWD, text.c_str(), 0)); });
}

Result<void> hard_link(PathRef original, PathRef link_path) {
  return with_two(original, link_path, [](Calls& calls, const char* from, const char* to) {
    return link(calls, {AT_FDCWD, from}, {AT_FDCWD, to}, 0);
  });
}

Result<void> symlink(PathRef target, PathRef link_path) {
  return with_two(target, link_path, [](Calls& calls, const char* text, const char* path) {
    return symlink(calls, text, {AT_FDCWD, path});
  });
}

// The kernel does not return the target's length, only that the buffer is full.
Result<std::string> read_link(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run_blocking([&](Calls& calls) -> Result<std::string> {
    for (std::string target(256, '\0');; target.resize(target.size() * 2)) {
      const Count n = calls.perform([&] { return sys::read_link(AT_FDCWD, text.c_str(), target); });
      if (n < 0) return failure(calls.code(n));
      if (static_cast<std::size_t>(n) == target.size()) continue;
      target.resize(static_cast<std::size_t>(n));
      return target;
    }
  });
}

Result<std::string> canonicalize(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run_blocking([&](Calls& calls) -> Result<std::string> {
    std::string resolved;
    const Count rc = calls.perform([&] { return sys::resolve(text.c_str(), resolved); });
    if (rc < 0) return failure(calls.code(rc));
    return resolved;
  });
}

Result<void> set_permissions(PathRef path, std::uint32_t mode) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  return run_blocking([&](Calls& calls) {
    return calls.outcome(
        calls.perform([&] { return sys::change_mode(AT_FDCWD, text.c_str(), mode); }));
  });
}

}  // namespace ramie::inline v0::fs
