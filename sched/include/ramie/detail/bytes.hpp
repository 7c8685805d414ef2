// What counts as bytes besides spans of std::byte: text where bytes go in, and room for text where
// they come out. Functions that take bytes have an overload as a template that uses this.
#pragma once

#include <ramie/api.hpp>

#include <array>
#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <type_traits>

namespace ramie::inline v0::detail {

template <class T>
inline constexpr bool kIsChar = std::is_same_v<T, char> || std::is_same_v<T, unsigned char>;

// Has data() and size(), or is an array, of chars.
template <class T>
concept CharRange = requires(T& range) {
  std::data(range);
  std::size(range);
  requires kIsChar<std::remove_cv_t<std::remove_pointer_t<decltype(std::data(range))>>>;
};
template <class T>
concept RoomForChars =
    CharRange<T> &&
    !std::is_const_v<std::remove_pointer_t<decltype(std::data(std::declval<T&>()))>>;

template <class T>
inline constexpr bool kIsCharBuffer =
    std::is_array_v<T> && std::is_same_v<std::remove_extent_t<T>, char>;

// A string, a literal, a view, a vector of chars ...
template <class T>
concept CharsIn =
    !std::is_convertible_v<T, std::span<const std::byte>> &&
    (std::is_convertible_v<T, std::string_view> || CharRange<std::remove_reference_t<T>>);
// A string, an array, a vector or a span, of chars that can be written.
template <class T>
concept CharsOut =
    !std::is_convertible_v<T, std::span<std::byte>> && RoomForChars<std::remove_reference_t<T>>;

// For vectored calls. (A template, like all of these, so that `{}` means "no parts" without
// ambiguity.)
template <class T>
concept TextParts = std::is_convertible_v<T, std::span<const std::string_view>>;
template <class T>
concept TextRooms = std::is_convertible_v<T, std::span<const std::span<char>>>;

template <CharsIn T>
std::span<const std::byte> bytes_in(T&& text) noexcept {
  using Text = std::remove_reference_t<T>;
  static_assert(!kIsCharBuffer<Text>,
                "how much of a char array is meant? Pass std::span(buffer).first(n), or a "
                "std::string_view");
  if constexpr (std::is_array_v<Text> && std::is_same_v<std::remove_extent_t<Text>, const char>) {
    const std::string_view whole(text, std::size(text));  // a literal, up to its 0
    return std::as_bytes(std::span(whole.substr(0, whole.find('\0'))));
  } else if constexpr (CharRange<Text>) {
    return std::as_bytes(std::span(std::data(text), std::size(text)));
  } else {
    return std::as_bytes(std::span(std::string_view(text)));
  }
}

template <CharsOut T>
std::span<std::byte> bytes_out(T&& buffer) noexcept {
  return std::as_writable_bytes(std::span(std::data(buffer), std::size(buffer)));
}

// The parts of a vectored call, at most as many as the call takes. The call may be short anyway.
template <class Bytes>
class Parts {
 public:
  template <class From>
  explicit Parts(std::span<const From> from) noexcept {
    for (const From& one : from) {
      if (one.empty()) continue;
      if (size_ == parts_.size()) break;
      if constexpr (std::is_const_v<typename Bytes::element_type>) {
        parts_[size_++] = std::as_bytes(std::span(one));
      } else {
        parts_[size_++] = std::as_writable_bytes(one);
      }
    }
  }
  std::span<const Bytes> get() const noexcept { return {parts_.data(), size_}; }

 private:
  std::array<Bytes, 64> parts_;
  std::size_t size_ = 0;
};

inline Parts<std::span<const std::byte>> parts_in(std::span<const std::string_view> text) noexcept {
  return Parts<std::span<const std::byte>>(text);
}
inline Parts<std::span<std::byte>> parts_out(std::span<const std::span<char>> rooms) noexcept {
  return Parts<std::span<std::byte>>(rooms);
}

}  // namespace ramie::inline v0::detail
