// Notes the errors that a run of the scenario got, and broken promises. Taking a note allocates
// nothing, so any fiber or thread can take one without memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <span>
#include <string>
#include <system_error>

namespace faults {

// An error that a call of the library returned, or threw.
struct Said {
  const char* where = "";
  std::error_code code;
};

class Findings {
 public:
  void said(const char* where, std::error_code code) noexcept {
    const std::lock_guard lock(mutex_);
    if (said_size_ < said_.size()) said_[said_size_++] = {where, code};
  }
  // A promise was broken.
  void wrong(const char* what, long figure = 0) noexcept {
    const std::lock_guard lock(mutex_);
    if (wrong_size_ < wrong_.size()) wrong_[wrong_size_++] = {what, figure};
  }
  void expect(bool is_right, const char* what, long figure = 0) noexcept {
    if (!is_right) wrong(what, figure);
  }
  // Notes that a part of the scenario begins; the parts show how far a run came.
  void begin(const char* part) noexcept { part_.store(part); }
  const char* part() const noexcept { return part_.load(); }

  // --- after everything has ended
  std::span<const Said> errors() const noexcept { return {said_.data(), said_size_}; }
  bool has_wrong() const noexcept { return wrong_size_ != 0; }
  bool has_said(std::errc code) const noexcept {
    for (const Said& one : errors())
      if (one.code == code) return true;
    return false;
  }
  std::string text() const {
    std::string all;
    for (std::size_t i = 0; i < wrong_size_; ++i)
      all +=
          "WRONG: " + std::string(wrong_[i].what) + " (" + std::to_string(wrong_[i].figure) + ")\n";
    for (const Said& one : errors())
      all += std::string(one.where) + " said: " + one.code.category().name() + ' ' +
             std::to_string(one.code.value()) + ' ' + one.code.message() + '\n';
    return all;
  }

 private:
  struct Wrong {
    const char* what = "";
    long figure = 0;
  };

  std::mutex mutex_;
  std::array<Said, 1024> said_;
  std::size_t said_size_ = 0;
  std::array<Wrong, 64> wrong_;
  std::size_t wrong_size_ = 0;
  std::atomic<const char*> part_{"none"};
};

}  // namespace faults
