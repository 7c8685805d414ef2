// A counted value that can only be moved: no value that was sent may be lost or doubled.
#pragma once

#include <atomic>
#include <utility>

namespace ramie_test {

class Counted {
 public:
  static inline std::atomic<long> alive{0};

  explicit Counted(int value = 0) noexcept : value_(value) { alive.fetch_add(1); }
  Counted(Counted&& other) noexcept : value_(std::exchange(other.value_, -1)) {
    alive.fetch_add(1);
  }
  Counted& operator=(Counted&& other) noexcept {
    value_ = std::exchange(other.value_, -1);
    return *this;
  }
  ~Counted() { alive.fetch_sub(1); }

  int value() const noexcept { return value_; }  // -1: moved from

 private:
  int value_;
};

}  // namespace ramie_test
