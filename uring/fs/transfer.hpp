// Bytes between memory and an open file, as calls of a sequence.
//
//   transfer       one call: may be short
//   transfer_all   calls until all is moved
//   append_rest    calls until the end of the file, into a container that grows
#pragma once

#include "uring/fs/calls.hpp"
#include "uring/sys/file.hpp"

#include <sys/uio.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <new>
#include <span>
#include <stdexcept>

namespace ramie {
inline namespace v0 {
namespace fs {

enum class Way : std::uint8_t { read = 1, write = 2 };

// The memory of one transfer, in the kernel's form: at most 64 parts, none of them empty, and no
// more bytes than one call moves.
class Vector {
 public:
  Vector(Way way, const std::byte* data, std::size_t size) noexcept : way_(way) { add(data, size); }
  template <class Part>
  Vector(Way way, std::span<const Part> parts) noexcept : way_(way) {
    for (const Part& part : parts) add(part.data(), part.size());
  }

  Way way() const noexcept { return way_; }
  std::size_t total() const noexcept { return total_; }
  std::span<const iovec> parts() const noexcept { return {parts_.data(), count_}; }

 private:
  static constexpr std::size_t kMost = 0x7ffff000;  // MAX_RW_COUNT

  void add(const std::byte* data, std::size_t size) noexcept {
    size = std::min(size, kMost - total_);
    if (size == 0 || count_ == parts_.size()) return;
    parts_[count_++] = {const_cast<std::byte*>(data), size};
    total_ += size;
  }

  const Way way_;
  std::size_t count_ = 0;
  std::size_t total_ = 0;
  std::array<iovec, 64> parts_;
};

// What one call of a longer sequence moves at most: a cancel waits for it.
inline constexpr std::size_t kChunk = std::size_t{1} << 20;

// What is moved in the fiber if the page cache has it. More would keep the worker for longer than a
// switch takes (128 KiB: 25 us).
inline constexpr std::size_t kAtOnce = std::size_t{64} << 10;

enum class Cache : std::uint8_t { has_nothing, may_have_it };

// `offset` may be sys::kHere: then nobody else may use the position meanwhile.
Count transfer(Calls& calls, int fd, const Vector& vector, std::int64_t offset);
Result<void> transfer_all(Calls& calls, int fd, Way way, std::span<const std::byte> bytes,
                          std::int64_t offset);

// False: no memory.
template <class Container>
bool grow(Container& content, std::uint64_t by) noexcept {
  try {
    if (by > content.max_size() - content.size()) return false;
    content.resize(content.size() + by);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// From the file's position: what a fiber can have without waiting, or -EAGAIN.
Count read_at_once(const Calls& calls, int fd, const Vector& vector) noexcept;

// From the file's position. `expected` bytes are likely: with room for one more, the call that
// finds the end comes without growing. What was read before an error is kept.
template <class Container>
Result<std::size_t> append_rest(Calls& calls, int fd, Container& content, std::uint64_t expected,
                                Cache cache) {
  constexpr std::uint64_t kLeast = 4096;
  const std::size_t begin = content.size();
  std::size_t end = begin;
  std::error_code error;
  for (std::uint64_t room = expected == 0 ? kLeast : expected + 1;;) {
    if (end == content.size()) {
      if (!grow(content, room)) {
        error = std::make_error_code(std::errc::not_enough_memory);
        break;
      }
      room = std::max<std::uint64_t>(content.size() - begin, kLeast);
    }
    const std::size_t size = std::min(content.size() - end, kChunk);
    auto* data = reinterpret_cast<std::byte*>(content.data()) + end;
    const Vector vector(Way::read, data, size);
    Count n = cache == Cache::may_have_it ? read_at_once(calls, fd, vector) : -EAGAIN;
    // Some kernels (5.9, 5.10) say that the file ends where a page is not in the cache.
    const bool is_likely_end = n == 0 && expected != 0 && end - begin == expected;
    const bool is_not_yet = n == -EAGAIN || n == -EINTR || n == -EOPNOTSUPP || n == -EINVAL;
    if (is_not_yet || (n == 0 && !is_likely_end)) n = transfer(calls, fd, vector, sys::kHere);
    if (n < 0) error = calls.code(n);
    if (n <= 0) break;
    end += static_cast<std::size_t>(n);
  }
  content.resize(end);
  if (error) return failure(error);
  return end - begin;
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
