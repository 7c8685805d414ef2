// A folder for each test, and the two places where a call of ramie::fs may be made.
#pragma once

#include "tests/support/bytes.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/places.hpp"
#include "tests/support/skip.hpp"

#include <ramie/fs.hpp>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ramie_test {

// Whether files can be opened by the cache of names: Linux 5.12, if openat2() is not denied.
inline bool has_known_names(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED;
  const auto fd =
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how));
  return fd >= 0 && ::close(fd) == 0;
}

class Folder {
 public:
  explicit Folder(std::string under = kDisk) : path_(std::move(under) + "/ramie-fs-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no folder: " + path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// Reads without the library.
inline std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}
inline void put(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
inline bool is_there(const std::string& path) {
  struct stat data{};
  return ::lstat(path.c_str(), &data) == 0;
}

inline std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 26 + (i / 26) % 3);
  return text;
}

// Equal; a CHECK of long texts would show them.
inline bool same(std::string_view a, std::string_view b) { return a == b; }

template <class F>
void on_this_thread(F&& function) {
  const std::size_t descriptors = open_descriptors();
  function();
  CHECK(open_descriptors() == descriptors);
}

// Runs on a plain thread, in a fiber of one worker, and in one of two.
template <class F>
void everywhere(F&& function) {
  on_this_thread(function);
  in_runtime(1, function);
  in_runtime(2, function);
}

// For cases that count the system calls of files or make them fail. An operation of io_uring makes
// no system call, so these runtimes use the pool for files.
template <class F>
void in_runtime_on_pool(std::size_t workers, F&& function) {
  auto builder = quiet_builder(workers);
  builder.files(ramie::runtime::FileBackend::pool);
  in_runtime_of(std::move(builder), std::forward<F>(function));
}
template <class F>
void everywhere_on_pool(F&& function) {
  on_this_thread(function);
  in_runtime_on_pool(1, function);
  in_runtime_on_pool(2, function);
}

}  // namespace ramie_test
