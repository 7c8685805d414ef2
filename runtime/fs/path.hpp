// A path in the kernel's form: terminated, without a NUL inside. It must live until the call that
// uses it has ended, so it is a local variable of the function that calls run().
#pragma once

#include <ramie/fs/path.hpp>
#include <ramie/result.hpp>

#include <array>
#include <cstring>
#include <memory>
#include <new>

namespace ramie::inline v0::fs {

class KernelPath {
 public:
  explicit KernelPath(PathRef path) noexcept {
    const std::string_view text = path.text();
    if (text.find('\0') != std::string_view::npos) {
      error_ = std::make_error_code(std::errc::invalid_argument);
    } else if (text.size() >= kLongest) {
      error_ = std::make_error_code(std::errc::filename_too_long);
    } else if (text.size() < short_.size()) {
      text_ = short_.data();
    } else {
      long_.reset(new (std::nothrow) char[text.size() + 1]);
      if (!long_) error_ = std::make_error_code(std::errc::not_enough_memory);
      text_ = long_.get();
    }
    if (error_) return;
    if (!text.empty()) std::memcpy(text_, text.data(), text.size());
    text_[text.size()] = '\0';
  }
  KernelPath(const KernelPath&) = delete;
  KernelPath& operator=(const KernelPath&) = delete;

  std::error_code error() const noexcept { return error_; }
  const char* c_str() const noexcept { return text_; }

 private:
  static constexpr std::size_t kLongest = 4096;  // PATH_MAX, which includes the NUL

  std::array<char, 256> short_;  // a fiber's stack may be small
  std::unique_ptr<char[]> long_;
  char* text_ = nullptr;
  std::error_code error_;
};

}  // namespace ramie::inline v0::fs
