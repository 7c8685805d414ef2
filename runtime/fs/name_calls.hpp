// Calls of a sequence on directories and names. Each has a form for the ring.
#pragma once

#include "runtime/fs/calls.hpp"

namespace ramie::inline v0::fs {

Count open_at(Calls& calls, int at, const char* path, int flags, unsigned mode = 0);
Count make_dir(Calls& calls, int at, const char* path, unsigned mode);
// `flags`: AT_REMOVEDIR or none.
Count remove(Calls& calls, int at, const char* path, int flags);

struct Name {
  int at;
  const char* path;
};
// `flags` are RENAME_*.
Count rename(Calls& calls, Name from, Name to, unsigned flags);
// `flags`: AT_SYMLINK_FOLLOW or none.
Count link(Calls& calls, Name from, Name to, int flags);
Count symlink(Calls& calls, const char* target, Name link);

}  // namespace ramie::inline v0::fs
