// Plain shared data with a race detector. Two accesses, one of them a write, must be ordered by
// happens-before in every schedule. An access is not a scheduling point.
#pragma once

#include "tests/model/execution.hpp"

#include <utility>

namespace ramie::model {

// The accesses to one plain object. Outside a run nothing is recorded.
class Accesses {
 public:
  Accesses() noexcept;   // construction is a write
  ~Accesses();           // destruction is a write too
  Accesses(const Accesses&) = delete;
  Accesses& operator=(const Accesses&) = delete;

  void note_read() const;
  void note_write();

 private:
  std::uint32_t born_ = Execution::run_number();
  mutable Clock reads_;  // tick of each thread's last read
  Clock writes_;
};

template <class T>
class Cell {
 public:
  Cell() = default;
  Cell(T value) : value_(std::move(value)) {}  // implicit: it stands in for a T
  Cell(const Cell& other) : value_(other.get()) {}
  Cell& operator=(const Cell& other) {
    set(other.get());
    return *this;
  }
  Cell& operator=(T value) {
    set(std::move(value));
    return *this;
  }

  [[nodiscard]] const T& get() const {
    accesses_.note_read();
    return value_;
  }
  void set(T value) {
    accesses_.note_write();
    value_ = std::move(value);
  }
  operator const T&() const { return get(); }  // implicit: it stands in for a T
  [[nodiscard]] const T& operator->() const { return get(); }

 private:
  Accesses accesses_;
  T value_{};
};

}  // namespace ramie::model
