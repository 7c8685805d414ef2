// Temporary files and directories.
//
// A nameless file gets a name by linkat from /proc/self/fd, which names the open file and not what
// has its name now. To replace another file, it first gets a random name beside it, and is then
// renamed.
//
// std::filesystem returns the directory for temporary files; it reads TMPDIR.
#include "io/sys/fd.hpp"
#include "runtime/fs/clean_up.hpp"
#include "runtime/fs/name_calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/remove_all.hpp"
#include "runtime/fs/sys/directory.hpp"
#include "sched/base/sys.hpp"

#include <ramie/fs/directory.hpp>
#include <ramie/fs/temp.hpp>

#include <fcntl.h>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace ramie::inline v0::fs {

namespace {

using io::sys::UniqueFd;

constexpr std::string_view kHidden = ".ramie-";
constexpr int kTries = 100;  // until a random name is free

std::string random_name(std::string_view prefix) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
  std::string name(prefix);
  std::uint64_t random = base::sys::random_seed();
  for (int i = 0; i < 13; ++i, random >>= 5U) name += kDigits[random & 31U];
  return name;
}

// Calls `make(name)` with names until one is new. That name is then in `made`.
template <class Make>
Count with_new_name(const std::string& beginning, std::string& made, Make&& make) {
  Count rc = -EEXIST;
  for (int i = 0; i < kTries && rc == -EEXIST; ++i) {
    made = random_name(beginning);
    rc = make(made.c_str());
  }
  if (rc < 0) made.clear();
  return rc;
}

// Returns the given directory or the system's temporary one, as an absolute path: it must be found
// after a chdir too.
Result<std::string> absolute(Calls& calls, const std::optional<std::string>& directory) {
  std::string path;
  std::error_code error;
  if (directory) path = *directory;
  else path = std::filesystem::temp_directory_path(error).native();
  if (error) return failure(std::error_code(error.value(), std::system_category()));
  std::string resolved;
  const Count rc = calls.perform([&] { return sys::resolve(path.c_str(), resolved); });
  if (rc < 0) return failure(calls.code(rc));
  if (!resolved.ends_with('/')) resolved += '/';
  return resolved;
}

struct Made {
  UniqueFd fd;
  std::string name;
};

Result<Made> make_file(Calls& calls, const std::optional<std::string>& given) {
  auto directory = absolute(calls, given);
  if (!directory) return failure(directory.error());
  constexpr int kFlags = O_RDWR | O_CLOEXEC;
  Made made;
  Count fd = open_at(calls, AT_FDCWD, directory->c_str(), kFlags | O_TMPFILE, 0600);
  if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL) {
    fd = with_new_name(directory->append(kHidden), made.name, [&](const char* name) {
      return open_at(calls, AT_FDCWD, name, kFlags | O_CREAT | O_EXCL, 0600);
    });
  }
  if (fd < 0) return failure(calls.code(fd));
  made.fd.reset(static_cast<int>(fd));
  return made;
}

Result<std::string> make_directory(Calls& calls, const std::optional<std::string>& given,
                                   std::string_view prefix) {
  auto directory = absolute(calls, given);
  if (!directory) return failure(directory.error());
  std::string made;
  const Count rc = with_new_name(directory->append(prefix), made, [&](const char* name) {
    return make_dir(calls, AT_FDCWD, name, 0700);
  });
  if (rc < 0) return failure(calls.code(rc));
  return made;
}

// Gives the open file `fd` the name `path`.
Count link_open_file(Calls& calls, int fd, const char* path) {
  const std::string open_file = "/proc/self/fd/" + std::to_string(fd);
  return link(calls, {AT_FDCWD, open_file.c_str()}, {AT_FDCWD, path}, AT_SYMLINK_FOLLOW);
}

// The kernel gives a nameless file only one name in its life, so the file is lost without that
// name.
// If a step after the first fails, `beside` keeps the name.
Count link_and_rename(Calls& calls, int fd, const char* path, std::string& beside) {
  const std::string_view text(path);
  const auto directory = absolute(calls, std::string(text.substr(0, text.rfind('/') + 1)) + ".");
  if (!directory) return -directory.error().value();
  const Count rc = with_new_name(*directory + std::string(kHidden), beside,
                                 [&](const char* name) { return link_open_file(calls, fd, name); });
  if (rc < 0) return rc;
  return rename(calls, {AT_FDCWD, beside.c_str()}, {AT_FDCWD, path}, 0);
}

}  // namespace

// --- TempFile

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  if (this != &other) {
    remove_name();
    file_ = std::move(other.file_);
    name_ = std::exchange(other.name_, {});
  }
  return *this;
}

TempFile::~TempFile() { remove_name(); }

void TempFile::remove_name() noexcept {
  if (name_.empty()) return;
  clean_up([this](Calls& calls) {
    return calls.outcome(fs::remove(calls, AT_FDCWD, name_.c_str(), 0));
  });
  name_.clear();
}

namespace {

Result<Made> make_file(const std::optional<std::string>& directory) {
  return run_blocking([&](Calls& calls) { return make_file(calls, directory); });
}

}  // namespace

Result<TempFile> TempFile::create() {
  auto made = make_file(std::nullopt);
  if (!made) return failure(made.error());
  return TempFile(File::from_fd(made->fd.release()), std::move(made->name));
}

Result<TempFile> TempFile::create_in(PathRef directory) {
  const KernelPath text(directory);
  if (text.error()) return failure(text.error());
  auto made = make_file(std::string(text.c_str()));
  if (!made) return failure(made.error());
  return TempFile(File::from_fd(made->fd.release()), std::move(made->name));
}

Result<void> TempFile::persist(PathRef path) { return persist(path, Replace::yes); }

Result<void> TempFile::persist_no_replace(PathRef path) { return persist(path, Replace::no); }

Result<void> TempFile::persist(PathRef path, Replace replace) {
  if (!file_.is_open()) return failure(std::make_error_code(std::errc::bad_file_descriptor));
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  std::string beside;
  auto done = run_blocking([&](Calls& calls) {
    Count rc = link_open_file(calls, file_.fd(), text.c_str());
    if (rc == -EEXIST && replace == Replace::yes)
      rc = link_and_rename(calls, file_.fd(), text.c_str(), beside);
    return calls.outcome(rc);
  });
  if (!done && beside.empty()) return done;
  remove_name();
  if (!done) name_ = std::move(beside);
  return done;
}

// --- TempDir

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

TempDir::~TempDir() { remove(); }

void TempDir::remove() noexcept {
  if (path_.empty()) return;
  clean_up([this](Calls& calls) { return remove_all(calls, path_); });
  path_.clear();
}

namespace {

Result<std::string> make_directory(const std::optional<std::string>& directory,
                                   std::string_view prefix) {
  if (prefix.find('/') != std::string_view::npos || prefix.find('\0') != std::string_view::npos)
    return failure(std::make_error_code(std::errc::invalid_argument));
  return run_blocking([&](Calls& calls) { return make_directory(calls, directory, prefix); });
}

}  // namespace

Result<TempDir> TempDir::create(std::string_view prefix) {
  auto path = make_directory(std::nullopt, prefix);
  if (!path) return failure(path.error());
  return TempDir(std::move(*path));
}

Result<TempDir> TempDir::create_in(PathRef directory, std::string_view prefix) {
  const KernelPath text(directory);
  if (text.error()) return failure(text.error());
  auto path = make_directory(std::string(text.c_str()), prefix);
  if (!path) return failure(path.error());
  return TempDir(std::move(*path));
}

Result<void> TempDir::close() {
  if (path_.empty()) return {};
  auto removed = remove_dir_all(path_);
  if (!removed && removed.error() != std::errc::no_such_file_or_directory) return removed;
  path_.clear();
  return {};
}

}  // namespace ramie::inline v0::fs
