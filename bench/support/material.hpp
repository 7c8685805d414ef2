// What a benchmark of files reads: one large file of random bytes, or a tree of 10,000 small ones.
//
// It stands in --dir and stays there for the next run; without one it is temporary.
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
  /// Finds or makes it in `directory`; ends the program if it cannot. Outside of fibers only.
  explicit Material(std::string directory);

  /// `mib` MiB that are on the disk. If `is_direct`, opened past the page cache; else read once,
  /// so that the page cache holds them.
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
