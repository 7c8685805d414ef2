// The part of the scenario with directories, names, copies, temporary files and a watcher. In the
// end its files are removed without the library and without memory.
#pragma once

#include "tests/faults/findings.hpp"

#include <ramie/fs.hpp>
#include <ramie/time.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace faults {

// Has room for the folder's path and a file's name.
using FolderPath = char[512];

// Makes a folder for temporary files without allocating.
inline bool make_folder(FolderPath& path) noexcept {
  const char* place = std::getenv("TMPDIR");
  if (place == nullptr || *place == '\0') place = "/tmp";
  if (std::strlen(place) > sizeof path / 2) return false;
  (void)std::strcpy(path, place);
  (void)std::strcat(path, "/ramie-faults-XXXXXX");
  return ::mkdtemp(path) != nullptr;
}

// A folder with one file, made and removed without the library and without allocating.
struct Folder {
  Folder() noexcept { is_there = make_folder(path); }
  ~Folder() {
    if (!is_there) return;
    (void)::unlink(file());
    path[std::strlen(path) - kFile.size()] = '\0';
    (void)::rmdir(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const char* file() noexcept {
    if (!std::string_view(path).ends_with(kFile)) (void)std::strcat(path, kFile.data());
    return path;
  }

  static constexpr std::string_view kFile = "/file";
  FolderPath path;
  bool is_there = false;
};

class Directories {
 public:
  explicit Directories(Findings& findings) noexcept
      : findings_(findings), is_there_(make_folder(root_)) {
    if (is_there_) root_fd_ = ::open(root_, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  ~Directories() {
    for (const char* name :
         {"a/b/file", "a/b/link", "file", "copy", "second", "moved", "link", "kept", "watched/new"})
      (void)::unlinkat(root_fd_, name, 0);
    for (const char* name : {"a/b", "a", "watched"}) (void)::unlinkat(root_fd_, name, AT_REMOVEDIR);
    if (const int kept = ::open(kept_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); kept >= 0) {
      (void)::unlinkat(kept, "link", 0);
      (void)::close(kept);
      (void)::rmdir(kept_.c_str());
    }
    (void)::close(root_fd_);
    (void)::rmdir(root_);
  }
  Directories(const Directories&) = delete;
  Directories& operator=(const Directories&) = delete;

  void use() {
    if (root_fd_ < 0) return;
    if (!good("fs::write", ramie::fs::write(at("file"), "content"))) return;
    use_names();
    use_a_tree();
    use_temporary();
    use_watcher();
  }

 private:
  template <class Result>
  bool good(const char* where, const Result& result) noexcept {
    if (!result) findings_.said(where, result.error());
    return result.has_value();
  }
  std::string at(const char* name) const { return std::string(root_) + "/" + name; }

  void use_names() {
    const auto copied = ramie::fs::copy(at("file"), at("copy"));
    if (good("fs::copy", copied)) findings_.expect(*copied == 7, "another size was copied");
    good("fs::copy", ramie::fs::copy(at("file"), at("copy")));
    good("fs::set_permissions", ramie::fs::set_permissions(at("file"), 0640));
    if (good("fs::hard_link", ramie::fs::hard_link(at("file"), at("second"))) &&
        good("fs::rename", ramie::fs::rename(at("second"), at("moved"))) &&
        good("fs::rename_no_replace", ramie::fs::rename_no_replace(at("moved"), at("second"))))
      good("fs::remove_file", ramie::fs::remove_file(at("second")));
    if (good("fs::symlink", ramie::fs::symlink("file", at("link")))) {
      const auto target = ramie::fs::read_link(at("link"));
      if (good("fs::read_link", target)) findings_.expect(*target == "file", "another target");
      const auto real = ramie::fs::canonicalize(at("link"));
      if (good("fs::canonicalize", real)) findings_.expect(*real == at("file"), "another path");
    }
  }

  void use_a_tree() {
    if (!good("fs::create_dir_all", ramie::fs::create_dir_all(at("a/b")))) return;
    const bool is_linked = good("fs::symlink", ramie::fs::symlink(at("file"), at("a/b/link")));
    auto directory = ramie::fs::read_dir(at("a/b"));
    if (good("fs::read_dir", directory)) {
      const auto entry = directory->next();
      if (good("ReadDir::next", entry))
        findings_.expect(entry->has_value() == is_linked, "a name is missing, or too many");
    }
    good("fs::remove_dir_all", ramie::fs::remove_dir_all(at("a/b")));
    findings_.expect(::faccessat(root_fd_, "file", F_OK, 0) == 0, "a link was followed");
  }

  void use_temporary() {
    auto file = ramie::fs::TempFile::create_in(root_);
    if (good("TempFile::create_in", file) && good("TempFile::persist", file->persist(at("kept"))))
      good("TempFile::persist", file->persist(at("copy")));
    auto dir = ramie::fs::TempDir::create_in(root_);
    if (!good("TempDir::create_in", dir)) return;
    good("fs::symlink", ramie::fs::symlink("nowhere", dir->path() + "/link"));
    kept_ = dir->keep();
    good("fs::remove_dir_all", ramie::fs::remove_dir_all(kept_));
  }

  void use_watcher() {
    if (!good("fs::create_dir", ramie::fs::create_dir(at("watched")))) return;
    auto watcher = ramie::fs::Watcher::create();
    if (!good("Watcher::create", watcher)) return;
    const auto watch = watcher->add(at("watched"), ramie::fs::Change::created);
    if (!good("Watcher::add", watch)) return;
    if (!good("fs::write", ramie::fs::write(at("watched/new"), ""))) return;
    const auto event = ramie::timeout(std::chrono::seconds(8), [&] { return watcher->next(); });
    if (good("Watcher::next", event))
      findings_.expect(event->name == "new", "another change was told");
    good("Watcher::remove", watcher->remove(*watch));
  }

  Findings& findings_;
  FolderPath root_;
  bool is_there_;
  int root_fd_ = -1;
  std::string kept_;
};

}  // namespace faults
