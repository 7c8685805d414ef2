// Where tests put their files.
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <string>

namespace ramie_test {

// $TMPDIR, or /tmp.
inline std::string temporary_place() {
  const char* wanted = std::getenv("TMPDIR");
  return wanted == nullptr || *wanted == '\0' ? "/tmp" : wanted;
}

// In memory, for thousands of files; temporary_place() if the machine has no such place.
inline std::string place_in_memory() {
  return ::access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : temporary_place();
}

inline bool are_on_one_disk(const std::string& one, const std::string& other) {
  struct stat first{};
  struct stat second{};
  return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

// The values when the program began, because a test may change TMPDIR.
inline const std::string kDisk = temporary_place();
inline const std::string kMemory = place_in_memory();

}  // namespace ramie_test
