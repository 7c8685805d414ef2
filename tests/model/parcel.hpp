// A value to send. A thread that opens it without being ordered after the sender is a data race. A
// parcel that is neither opened nor destroyed is a leak.
#pragma once

#include "tests/model/cell.hpp"

namespace ramie::model {

class Parcel {
 public:
  explicit Parcel(int value) : value_(value) { footprint_.be_made(); }
  ~Parcel() { footprint_.be_destroyed(); }
  Parcel(Parcel&& other) noexcept : value_(other.value_.get()) {
    footprint_.be_made();
    other.value_ = 0;
  }
  Parcel& operator=(Parcel&& other) noexcept {
    value_ = other.value_.get();
    other.value_ = 0;
    return *this;
  }

  [[nodiscard]] int open() const { return value_; }  // 0: it was moved from

 private:
  Cell<int> value_;  // a new one is a write
  Footprint footprint_{};
};

}  // namespace ramie::model
