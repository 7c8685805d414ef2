// PathRef: how the functions of ramie::fs take a path.
#pragma once

#include <ramie/api.hpp>

#include <concepts>
#include <string_view>

namespace ramie::inline v0::fs {

/// A path argument: text, or a std::filesystem::path. It refers to the caller's memory. Every call
/// refuses a path that contains a NUL (invalid_argument).
class PathRef {
 public:
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  PathRef(const Text& text) noexcept : text_(text) {}
  template <class Path>
    requires(!std::convertible_to<const Path&, std::string_view> &&
             requires(const Path& path) {
               { path.native() } -> std::convertible_to<std::string_view>;
             })
  PathRef(const Path& path) noexcept : text_(path.native()) {}

  std::string_view text() const noexcept { return text_; }

 private:
  std::string_view text_;
};

}  // namespace ramie::inline v0::fs
