// Bytes between memory and an open file, as calls of a sequence.
//
//   transfer       one call: may be short
//   transfer_some  calls, a piece each, until one is short
//   transfer_all   calls until all is moved
//   append_rest    calls until the end of the file, into a container that grows
#pragma once

#include "runtime/fs/calls.hpp"
#include "runtime/fs/sys/file.hpp"

#include <sys/uio.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <new>
#include <span>

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

  // What is left behind `done` bytes, at most `most` of it.
  Vector(const Vector& whole, std::size_t done, std::size_t most) noexcept : way_(whole.way_) {
    for (const iovec& part : whole.parts()) {
      const std::size_t skipped = std::min(done, part.iov_len);
      done -= skipped;
      add(static_cast<const std::byte*>(part.iov_base) + skipped,
          std::min(part.iov_len - skipped, most - total_));
    }
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

// What is moved in the fiber if the page cache has it. More would keep the worker for longer than a
// switch takes (128 KiB: 25 us).
inline constexpr std::size_t kAtOnce = std::size_t{64} << 10;

// What transfer_all() says where a call moves nothing.
inline std::errc nothing_moved(Way way) noexcept {
  return way == Way::read ? std::errc::no_message_available : std::errc::io_error;
}

inline constexpr std::size_t kLargeCopy = std::size_t{4} << 20;

enum class Cache : std::uint8_t { has_nothing, may_have_it };

// `offset` may be sys::kHere: then nobody else may use the position meanwhile.
Count transfer(Calls& calls, int fd, const Vector& vector, std::int64_t offset);
// Bytes that were moved win over an error or a cancel that comes behind them.
Count transfer_some(Calls& calls, int fd, const Vector& vector, std::int64_t offset);
Result<void> transfer_all(Calls& calls, int fd, Way way, std::span<const std::byte> bytes,
                          std::int64_t offset);

// Room for `size` bytes in all: 0, -ENOMEM or -ECANCELED. A content that is large takes long to be
// copied there, and is so in no fiber.
template <class Container>
Count reserve(Calls& calls, Container& content, std::uint64_t size) {
  if (size > content.max_size()) return -ENOMEM;
  const auto call = [&]() -> Count {
    try {
      content.reserve(size);
      return 0;
    } catch (const std::bad_alloc&) {
      return -ENOMEM;
    }
  };
  return content.size() < kLargeCopy ? call() : calls.perform(call);
}

// From the file's position: what a fiber can have without waiting, or -EAGAIN.
Count read_at_once(const Calls& calls, int fd, const Vector& vector) noexcept;
// That it has to be done in earnest: the cache lacks it, or the kernel has no such way, or a
// sandbox denies it.
inline bool is_not_at_once(Count n) noexcept {
  return n == -EAGAIN || n == -EINTR || n == -EOPNOTSUPP || n == -EINVAL || n == -EPERM ||
         n == -ENOSYS;
}

// What `read(vector, is_likely_end)` gives, until that is 0. `expected` bytes are likely: with room
// for one more, the call that finds the end comes without growing. What was read before an error is
// kept.
//
// The room is made first and filled piece by piece: to zero 600 MB takes 200 ms.
template <class Container, class Read>
Result<std::size_t> append(Calls& calls, Container& content, std::uint64_t expected, Read&& read) {
  constexpr std::uint64_t kLeast = 4096;
  const std::size_t begin = content.size();
  std::size_t end = begin;
  Count n = reserve(calls, content, begin + (expected == 0 ? kLeast : expected + 1));
  while (n >= 0) {
    if (end == content.capacity())
      n = reserve(calls, content, end + std::max<std::uint64_t>(end - begin, kLeast));
    if (n < 0) break;
    if (end == content.size()) content.resize(std::min(content.capacity(), end + kChunk));
    auto* data = reinterpret_cast<std::byte*>(content.data()) + end;
    const bool is_likely_end = expected != 0 && end - begin == expected;
    n = read(Vector(Way::read, data, content.size() - end), is_likely_end);
    if (n == 0) break;
    if (n > 0) end += static_cast<std::size_t>(n);
  }
  content.resize(end);
  if (n < 0) return failure(calls.code(n));
  return end - begin;
}

// From the file's position to its end.
template <class Container>
Result<std::size_t> append_rest(Calls& calls, int fd, Container& content, std::uint64_t expected,
                                Cache cache) {
  return append(calls, content, expected, [&](const Vector& vector, bool is_likely_end) {
    const Count n = cache == Cache::may_have_it ? read_at_once(calls, fd, vector) : -EAGAIN;
    // Some kernels (5.9, 5.10) say that the file ends where a page is not in the cache.
    const bool is_in_earnest = is_not_at_once(n) || (n == 0 && !is_likely_end);
    return is_in_earnest ? transfer(calls, fd, vector, sys::kHere) : n;
  });
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
