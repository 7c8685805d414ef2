// The kernel's epoll for the shipped io::Driver. Descriptors are small numbers and become ready
// when a model says so. A collected event is delivered, whatever is removed meanwhile.
#pragma once

#include "tests/model/sync.hpp"

#include <cstdint>

namespace ramie::model {

// One in each run, made before the driver.
class Kernel {
 public:
  static constexpr int kDescriptors = 4;

  Kernel();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  [[nodiscard]] static Kernel& current();
  void make_ready(int fd, std::uint16_t bits);

  struct Descriptor {
    std::uint64_t token = 0;  // 0: not registered
    std::uint16_t ready = 0;  // not collected yet
    std::uint16_t level = 0;  // what poll() would return
  };
  Mutex mutex;
  Descriptor descriptors[kDescriptors];

 private:
  static Kernel* current_;
};

}  // namespace ramie::model
