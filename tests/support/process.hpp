// Counts what a process holds: descriptors, memory, mappings. Tests compare before and after.
#pragma once

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cstddef>
#include <cstdio>

namespace ramie_test {

inline std::size_t open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::size_t n = 0;
  while (const dirent* entry = ::readdir(folder))
    if (entry->d_name[0] != '.') ++n;
  ::closedir(folder);
  return n - 1;  // without that of the folder
}

// Resident bytes.
inline std::size_t resident_bytes() {
  unsigned long total = 0;
  unsigned long resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Mappings (VMAs).
inline std::size_t mappings() {
  std::FILE* file = std::fopen("/proc/self/maps", "re");
  if (file == nullptr) return 0;
  std::size_t lines = 0;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file))
    if (c == '\n') ++lines;
  std::fclose(file);
  return lines;
}

// Raises the soft limit of descriptors to `wanted`. Returns false if the hard limit is lower.
inline bool raise_descriptor_limit(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  if (limit.rlim_cur >= wanted) return true;
  if (limit.rlim_max < wanted) limit.rlim_max = wanted;  // allowed for root
  limit.rlim_cur = wanted;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

}  // namespace ramie_test
