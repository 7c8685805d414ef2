// The files that a benchmark reads: one large file of random bytes, or a tree of 10,000 small ones.
//
// They stay in --dir for the next run; without --dir they are temporary.
#pragma once

#include <ramie/fs/directory.hpp>
#include <ramie/fs/temp.hpp>
#include <ramie/ramie.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

class Material {
 public:
  /// Finds or creates them in `directory`; ends the program on an error. Not in fibers.
  explicit Material(std::string directory);

  /// A file of `mib` MiB that is on the disk. If `is_direct`, it is opened past the page cache;
  /// else it is read once, so that the page cache holds it.
  void provide_file(std::uint64_t mib, bool is_direct);
  /// 100 directories of 100 files, each of `size` bytes, all read once.
  void provide_tree(std::uint64_t size);

  const ramie::fs::File& file() const noexcept { return file_; }
  std::uint64_t file_size() const noexcept { return file_size_; }
  const std::vector<std::string>& paths() const noexcept { return paths_; }

 private:
  ramie::fs::TempDir temporary_;
  std::string directory_;
  ramie::fs::File file_;
  std::uint64_t file_size_ = 0;
  std::vector<std::string> paths_;
};

}  // namespace bench
