// The memory that a connection needs only while it has work: taken from a pool when its socket is
// readable, given back when every request is answered. An idle connection holds none.
//
//   InputBuffer   [ consumed | unparsed request bytes | room ]      grows by doubling, with the
//                                                                   bytes that really arrive
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

class InputBuffer {
 public:
  static constexpr std::size_t kUsual = 16 * 1024;
  /// A request that needs more is refused: a value of 512 MiB and a little more.
  static constexpr std::size_t kLargest = std::size_t{1} << 30;

  InputBuffer();

  /// Where the next bytes go: at least one byte of room, unless the buffer has reached kLargest.
  std::span<std::byte> room();
  void received(std::size_t count) noexcept { end_ += count; }
  std::string_view unparsed() const noexcept;
  void consume(std::size_t count) noexcept { begin_ += count; }
  bool empty() const noexcept { return begin_ == end_; }
  std::size_t capacity() const noexcept { return capacity_; }
  /// Forgets what was consumed; an emptied buffer that grew goes back to the usual size.
  void compact();

 private:
  void move_to(std::size_t capacity);

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = kUsual;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

struct Buffers {
  InputBuffer input;
  std::string output;
};

/// Striped: two connections seldom meet at one lock. A lock is held for a push or a pop only.
class BufferPool {
 public:
  /// `connection` picks the stripe; any number will do.
  std::unique_ptr<Buffers> take(std::uint64_t connection);
  /// Keeps at most kKept per stripe, none that grew.
  void give(std::uint64_t connection, std::unique_ptr<Buffers> buffers) noexcept;

 private:
  static constexpr std::size_t kStripes = 8;
  static constexpr std::size_t kKept = 128;
  struct alignas(64) Stripe {
    std::mutex mutex;
    std::vector<std::unique_ptr<Buffers>> free;
  };

  std::array<Stripe, kStripes> stripes_;
};

}  // namespace demo
