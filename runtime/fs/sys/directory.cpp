// See directory.hpp.
#include "runtime/fs/sys/directory.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/sys.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace ramie::inline v0::fs::sys {

using io::sys::outcome;

namespace {}  // namespace

[[gnu::noinline]] Count make_dir(int dir, const char* path, unsigned mode) noexcept {
  if (int planned = base::inject("mkdirat"); planned != 0) return planned;
  return outcome(::mkdirat(dir, path, mode));
}

[[gnu::noinline]] Count remove(int dir, const char* path, int flags) noexcept {
  if (int planned = base::inject("unlinkat"); planned != 0) return planned;
  return outcome(::unlinkat(dir, path, flags));
}

[[gnu::noinline]] Count rename(int from_dir, const char* from, int to_dir, const char* to,
                               unsigned flags) noexcept {
  if (int planned = base::inject("renameat2"); planned != 0) return planned;
  const Count rc = outcome(::renameat2(from_dir, from, to_dir, to, flags));
  const bool may_be_denied =
      rc == -EPERM || rc == -ENOSYS;  // a sandbox may deny it; the older call tells
  return may_be_denied && flags == 0 ? outcome(::renameat(from_dir, from, to_dir, to)) : rc;
}

[[gnu::noinline]] Count link(int from_dir, const char* from, int to_dir, const char* to,
                             int flags) noexcept {
  if (int planned = base::inject("linkat"); planned != 0) return planned;
  return outcome(::linkat(from_dir, from, to_dir, to, flags));
}

[[gnu::noinline]] Count symlink(const char* target, int dir, const char* path) noexcept {
  if (int planned = base::inject("symlinkat"); planned != 0) return planned;
  return outcome(::symlinkat(target, dir, path));
}

[[gnu::noinline]] Count read_link(int dir, const char* path, std::span<char> buffer) noexcept {
  if (int planned = base::inject("readlinkat"); planned != 0) return planned;
  return outcome(::readlinkat(dir, path, buffer.data(), buffer.size()));
}

[[gnu::noinline]] Count change_mode(int dir, const char* path, unsigned mode) noexcept {
  if (int planned = base::inject("fchmodat"); planned != 0) return planned;
  return outcome(::fchmodat(dir, path, mode, 0));
}

[[gnu::noinline]] Count resolve(const char* path, std::string& resolved) {
  if (int planned = base::inject("realpath"); planned != 0) return planned;
  const std::unique_ptr<char, decltype(&std::free)> found(::realpath(path, nullptr), &std::free);
  if (found == nullptr) return outcome(-1);
  resolved = found.get();
  return 0;
}

[[gnu::noinline]] Count list(int fd, std::span<std::byte> buffer) noexcept {
  if (int planned = base::inject("getdents64"); planned != 0) return planned;
  return outcome(::getdents64(fd, buffer.data(), buffer.size()));
}

// Copies the kernel's records byte by byte, because the buffer contains no objects of its types.
RawEntry entry_at(std::span<const std::byte> buffer) noexcept {
  RawEntry entry{};
  std::uint16_t size = 0;
  std::memcpy(&entry.inode, buffer.data() + offsetof(dirent64, d_ino), sizeof entry.inode);
  std::memcpy(&size, buffer.data() + offsetof(dirent64, d_reclen), sizeof size);
  std::memcpy(&entry.type, buffer.data() + offsetof(dirent64, d_type), 1);
  const auto name = buffer.first(size).subspan(offsetof(dirent64, d_name));
  const std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  entry.name = text.substr(0, text.find('\0'));
  entry.size = size;
  return entry;
}

void set_type(std::span<std::byte> buffer, unsigned char type) noexcept {
  buffer[offsetof(dirent64, d_type)] = static_cast<std::byte>(type);
}

bool is_dots(std::string_view name) noexcept { return name == "." || name == ".."; }

[[gnu::noinline]] Count copy_range(int from, int to, std::size_t size) noexcept {
  if (int planned = base::inject("copy_file_range", size); planned != 0) return planned;
  return outcome(::copy_file_range(from, nullptr, to, nullptr, size, 0));
}

}  // namespace ramie::inline v0::fs::sys
