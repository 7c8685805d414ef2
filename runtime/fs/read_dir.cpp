// Lists a directory. Each buffer of entries is one job of the pool. Some file systems do not report
// the type of an entry; another job asks for those.
//
//     buffer   ..begin: returned    begin..known: types are known    known..end: not yet
#include "io/sys/fd.hpp"
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/stat.hpp"
#include "runtime/fs/sys/directory.hpp"

#include <ramie/fs/directory.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <array>
#include <cstddef>
#include <span>

namespace ramie::inline v0::fs {

namespace {

constexpr unsigned char kGone = 255;  // as a DT_*: removed before we asked for its type

FileType type_of(unsigned char type) noexcept {
  switch (type) {
    case DT_REG: return FileType::file;
    case DT_DIR: return FileType::directory;
    case DT_LNK: return FileType::symlink;
    case DT_BLK: return FileType::block_device;
    case DT_CHR: return FileType::character_device;
    case DT_FIFO: return FileType::fifo;
    case DT_SOCK: return FileType::socket;
    default: return FileType::unknown;
  }
}

// The inverse. A type that statx does not know either is not asked for again.
unsigned char raw_type_of(FileType type) noexcept {
  switch (type) {
    case FileType::file: return DT_REG;
    case FileType::directory: return DT_DIR;
    case FileType::symlink: return DT_LNK;
    case FileType::block_device: return DT_BLK;
    case FileType::character_device: return DT_CHR;
    case FileType::fifo: return DT_FIFO;
    case FileType::socket: return DT_SOCK;
    case FileType::unknown: break;
  }
  return DT_WHT;
}

}  // namespace

struct ReadDir::State {
  State(int descriptor, std::string directory)
      : fd(descriptor), path(std::make_shared<const std::string>(std::move(directory))) {}

  Result<void> fill();
  Result<void> look();

  std::span<std::byte> rest() noexcept { return std::span(buffer).first(end).subspan(begin); }

  io::sys::UniqueFd fd;
  std::shared_ptr<const std::string> path;
  std::size_t begin = 0;
  std::size_t known = 0;
  std::size_t end = 0;
  bool is_at_end = false;
  alignas(8) std::array<std::byte, 32768> buffer;
};

// Stores what was read before anything can end the job.
Result<void> ReadDir::State::fill() {
  return run_blocking([this](Calls& calls) -> Result<void> {
    const Count n = calls.perform([&] { return sys::list(fd.get(), buffer); });
    if (n < 0 && n != -ENOENT) return failure(calls.code(n));
    begin = known = 0;
    end = n < 0 ? 0 : static_cast<std::size_t>(n);
    is_at_end = end == 0;
    return {};
  });
}

// Asks for the types that the listing did not report.
Result<void> ReadDir::State::look() {
  known = begin;
  const auto knows = [&] { return sys::entry_at(rest().subspan(known - begin)); };
  for (; known < end; known += knows().size)
    if (const auto entry = knows(); entry.type == DT_UNKNOWN && !sys::is_dots(entry.name)) break;
  if (known == end) return {};
  return run_blocking([&](Calls& calls) -> Result<void> {
    for (; known < end; known += knows().size) {
      const auto entry = knows();
      if (entry.type != DT_UNKNOWN || sys::is_dots(entry.name)) continue;
      const auto data = stat(calls, fd.get(), entry.name.data(), AT_SYMLINK_NOFOLLOW);
      const bool is_gone = !data && data.error() == std::errc::no_such_file_or_directory;
      if (!data && !is_gone) return failure(data.error());
      sys::set_type(rest().subspan(known - begin), is_gone ? kGone : raw_type_of(data->type));
    }
    return {};
  });
}

ReadDir::ReadDir() noexcept = default;
ReadDir::ReadDir(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ReadDir::ReadDir(ReadDir&& other) noexcept = default;
ReadDir& ReadDir::operator=(ReadDir&& other) noexcept = default;
ReadDir::~ReadDir() = default;

Result<std::optional<DirEntry>> ReadDir::next() {
  if (!state_) return failure(std::make_error_code(std::errc::bad_file_descriptor));
  State& state = *state_;
  while (!state.is_at_end) {
    if (state.begin == state.end) {
      if (auto filled = state.fill(); !filled) return failure(filled.error());
      continue;
    }
    if (state.begin >= state.known)
      if (auto looked = state.look(); !looked) return failure(looked.error());
    const sys::RawEntry entry = sys::entry_at(state.rest());
    const bool is_hidden = sys::is_dots(entry.name) || entry.type == kGone;
    std::optional<DirEntry> found;
    if (!is_hidden)
      found = DirEntry(state.path, std::string(entry.name), type_of(entry.type), entry.inode);
    state.begin += entry.size;
    if (found) return found;
  }
  return std::nullopt;
}

std::string DirEntry::path() const {
  std::string path = *directory_;
  if (!path.ends_with('/')) path += '/';
  return path += name_;
}

Result<ReadDir> read_dir(PathRef path) {
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  // Allocate first, so that no descriptor is lost for lack of memory.
  auto state = std::make_unique<ReadDir::State>(-1, std::string(path.text()));
  const auto opened = run([&](Calls& calls) -> Result<void> {
    const Count fd = open_at(calls, AT_FDCWD, text.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failure(calls.code(fd));
    state->fd.reset(static_cast<int>(fd));
    return {};
  });
  if (!opened) return failure(opened.error());
  return ReadDir(std::move(state));
}

}  // namespace ramie::inline v0::fs
