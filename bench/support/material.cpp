// See material.hpp.
#include "bench/support/material.hpp"

#include <array>
#include <random>
#include <span>

namespace bench {

namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr unsigned kDirectories = 100;
constexpr unsigned kFilesEach = 100;

std::vector<std::byte> random_bytes(std::uint64_t size) {
  std::mt19937_64 random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Reads all of it, so that the page cache has it.
void read_through(const std::string& path) {
  const auto file = ramie::or_throw(ramie::fs::File::open(path));
  std::vector<std::byte> buffer(kMib);
  for (std::uint64_t at = 0;;) {
    const std::size_t n = ramie::or_throw(file.read_at(buffer, at));
    if (n == 0) return;
    at += n;
  }
}

bool is_there(const std::string& path, std::uint64_t size) {
  const auto found = ramie::fs::metadata(path);
  return found && found->is_file() && found->size == size;
}

void make_file(const std::string& path, std::uint64_t mib) {
  auto file = ramie::or_throw(ramie::fs::File::create(path));
  const std::vector<std::byte> bytes = random_bytes(kMib);
  for (std::uint64_t i = 0; i < mib; ++i) ramie::or_throw(file.write_all(bytes));
  ramie::or_throw(file.sync_all());
}

}  // namespace

Material::Material(std::string directory) : directory_(std::move(directory)) {
  if (directory_.empty()) {
    temporary_ = ramie::or_throw(ramie::fs::TempDir::create("ramie-bench-"));
    directory_ = temporary_.path();
  } else {
    ramie::or_throw(ramie::fs::create_dir_all(directory_));
  }
}

void Material::provide_file(std::uint64_t mib, bool is_direct) {
  const std::string path = directory_ + "/random.dat";
  file_size_ = mib * kMib;
  if (!is_there(path, file_size_)) make_file(path, mib);
  if (!is_direct) read_through(path);
  file_ = ramie::or_throw(ramie::fs::OpenOptions().read().direct(is_direct).open(path));
}

void Material::provide_tree(std::uint64_t size) {
  const std::vector<std::byte> bytes = random_bytes(size);
  for (unsigned d = 0; d < kDirectories; ++d) {
    const std::string directory = directory_ + "/tree/" + std::to_string(d);
    ramie::or_throw(ramie::fs::create_dir_all(directory));
    for (unsigned f = 0; f < kFilesEach; ++f) {
      std::string path = directory + "/" + std::to_string(f);
      if (!is_there(path, size)) ramie::or_throw(ramie::fs::write(path, bytes));
      read_through(path);
      paths_.push_back(std::move(path));
    }
  }
}

}  // namespace bench
