// See name_calls.hpp.
#include "runtime/fs/name_calls.hpp"

#include "runtime/fs/sys/directory.hpp"
#include "runtime/fs/sys/file.hpp"
#include "uring/opcodes.hpp"

namespace ramie::inline v0::fs {

using uring::address_of;
using uring::Entry;

Count open_at(Calls& calls, int at, const char* path, int flags, unsigned mode) {
  return calls.perform(
      uring::kOpenat,
      [&](Entry& entry) {
        entry.fd = at;
        entry.address = address_of(path);
        entry.length = mode;
        entry.operation_flags = static_cast<std::uint32_t>(flags);
      },
      [&] { return sys::open(at, path, flags, mode); });
}

Count make_dir(Calls& calls, int at, const char* path, unsigned mode) {
  return calls.perform(
      uring::kMkdirat,
      [&](Entry& entry) {
        entry.fd = at;
        entry.address = address_of(path);
        entry.length = mode;
      },
      [&] { return sys::make_dir(at, path, mode); });
}

Count remove(Calls& calls, int at, const char* path, int flags) {
  return calls.perform(
      uring::kUnlinkat,
      [&](Entry& entry) {
        entry.fd = at;
        entry.address = address_of(path);
        entry.operation_flags = static_cast<std::uint32_t>(flags);
      },
      [&] { return sys::remove(at, path, flags); });
}

Count rename(Calls& calls, Name from, Name to, unsigned flags) {
  return calls.perform(
      uring::kRenameat,
      [&](Entry& entry) {
        entry.fd = from.at;
        entry.address = address_of(from.path);
        entry.length = static_cast<std::uint32_t>(to.at);
        entry.offset = address_of(to.path);
        entry.operation_flags = flags;
      },
      [&] { return sys::rename(from.at, from.path, to.at, to.path, flags); });
}

Count link(Calls& calls, Name from, Name to, int flags) {
  return calls.perform(
      uring::kLinkat,
      [&](Entry& entry) {
        entry.fd = from.at;
        entry.address = address_of(from.path);
        entry.length = static_cast<std::uint32_t>(to.at);
        entry.offset = address_of(to.path);
        entry.operation_flags = static_cast<std::uint32_t>(flags);
      },
      [&] { return sys::link(from.at, from.path, to.at, to.path, flags); });
}

Count symlink(Calls& calls, const char* target, Name link) {
  return calls.perform(
      uring::kSymlinkat,
      [&](Entry& entry) {
        entry.fd = link.at;
        entry.address = address_of(target);
        entry.offset = address_of(link.path);
      },
      [&] { return sys::symlink(target, link.at, link.path); });
}

}  // namespace ramie::inline v0::fs
