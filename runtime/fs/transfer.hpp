// Moves bytes between memory and an open file, as calls of a sequence.
//
//     transfer       one call, which may be short
//     transfer_some  one call for each piece, until one is short
//     transfer_all   calls until everything is moved
//     append_rest    calls until the end of the file, into a container that grows
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

namespace ramie::inline v0::fs {

enum class Way : std::uint8_t { read = 1, write = 2 };

// The memory of one transfer in the kernel's form: at most 64 parts, none of them empty, and no
// more bytes than one call moves.
class Vector {
 public:
  Vector(Way way, const std::byte* data, std::size_t size) noexcept : way_(way) { add(data, size); }
  template <class Part>
  Vector(Way way, std::span<const Part> parts) noexcept : way_(way) {
    for (const Part& part : parts) add(part.data(), part.size());
  }

  // The part of `whole` behind `done` bytes, of at most `most` bytes.
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

// The most that is moved in the fiber if the page cache has it. A larger transfer would take longer
// than a switch (128 KiB: 25 us).
inline constexpr std::size_t kAtOnce = std::size_t{64} << 10;

// The error of transfer_all() when a call moves nothing.
inline std::errc nothing_moved(Way way) noexcept {
  return way == Way::read ? std::errc::no_message_available : std::errc::io_error;
}

inline constexpr std::size_t kLargeCopy = std::size_t{4} << 20;

enum class Cache : std::uint8_t { has_nothing, may_have_it };

// `offset` may be sys::kHere. Then nobody else may use the position meanwhile.
Count transfer(Calls& calls, int fd, const Vector& vector, std::int64_t offset);
// Returns the bytes that were moved, even if an error or a cancel comes after them.
Count transfer_some(Calls& calls, int fd, const Vector& vector, std::int64_t offset);
Result<void> transfer_all(Calls& calls, int fd, Way way, std::span<const std::byte> bytes,
                          std::int64_t offset);

// Makes room for `size` bytes in all. Returns 0, -ENOMEM or -ECANCELED. Copying a large content
// takes long, so no fiber does it.
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

// Reads at the file's position what a fiber can get without waiting. Returns -EAGAIN if nothing.
Count read_at_once(const Calls& calls, int fd, const Vector& vector) noexcept;
// Whether the caller must take the slow path: the cache lacks the data, the kernel has no such
// call, or a sandbox denies it.
inline bool is_not_at_once(Count n) noexcept {
  return n == -EAGAIN || n == -EINTR || n == -EOPNOTSUPP || n == -EINVAL || n == -EPERM ||
         n == -ENOSYS;
}

// Appends what `read(vector, is_likely_end)` returns, until that is 0. `expected` is the likely
// number of bytes; there is room for one more, so the call that finds the end needs no growth.
// Keeps what was read before an error.
//
// It reserves the memory first and fills it piece by piece, because zeroing 600 MB takes 200 ms.
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

// Appends from the file's position to its end.
template <class Container>
Result<std::size_t> append_rest(Calls& calls, int fd, Container& content, std::uint64_t expected,
                                Cache cache) {
  return append(calls, content, expected, [&](const Vector& vector, bool is_likely_end) {
    const Count n = cache == Cache::may_have_it ? read_at_once(calls, fd, vector) : -EAGAIN;
    // Some kernels (5.9, 5.10) report the end of the file where a page is not in the cache.
    const bool is_in_earnest = is_not_at_once(n) || (n == 0 && !is_likely_end);
    return is_in_earnest ? transfer(calls, fd, vector, sys::kHere) : n;
  });
}

}  // namespace ramie::inline v0::fs
