// Growth and reuse of connection memory.
#include "tools/demo/buffers.hpp"

#include <algorithm>
#include <cstring>

#include "tools/demo/reply.hpp"

namespace demo {

// for_overwrite: zeroing 16 KiB per batch would cost more than parsing it.
InputBuffer::InputBuffer() : bytes_(std::make_unique_for_overwrite<std::byte[]>(kUsual)) {}

std::string_view InputBuffer::unparsed() const noexcept {
  return {reinterpret_cast<const char*>(bytes_.get()) + begin_, end_ - begin_};
}

void InputBuffer::move_to(std::size_t capacity) {
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
  std::memcpy(bytes.get(), bytes_.get() + begin_, end_ - begin_);
  bytes_ = std::move(bytes);
  capacity_ = capacity;
  end_ -= begin_;
  begin_ = 0;
}

std::span<std::byte> InputBuffer::room() {
  if (end_ == capacity_) {
    if (begin_ > 0) {
      compact();
    } else if (capacity_ < kLargest) {
      move_to(capacity_ * 2);
    }
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

void InputBuffer::compact() {
  if (empty() && capacity_ > kUsual) {
    begin_ = end_ = 0;
    return move_to(kUsual);
  }
  if (begin_ == 0) return;
  std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

std::unique_ptr<Buffers> BufferPool::take(std::uint64_t connection) {
  Stripe& stripe = stripes_[connection % kStripes];
  {
    const std::lock_guard lock(stripe.mutex);
    if (!stripe.free.empty()) {
      auto buffers = std::move(stripe.free.back());
      stripe.free.pop_back();
      return buffers;
    }
    stripe.free.reserve(kKept);  // so that give() never allocates
  }
  return std::make_unique<Buffers>();
}

void BufferPool::give(std::uint64_t connection, std::unique_ptr<Buffers> buffers) noexcept {
  const bool grew = buffers->input.capacity() > InputBuffer::kUsual ||
                    buffers->output.capacity() > 2 * Replies::kFlushAt;
  if (grew) return;
  buffers->input.consume(buffers->input.unparsed().size());
  buffers->input.compact();
  buffers->output.clear();
  Stripe& stripe = stripes_[connection % kStripes];
  const std::lock_guard lock(stripe.mutex);
  if (stripe.free.size() < std::min(kKept, stripe.free.capacity())) {
    stripe.free.push_back(std::move(buffers));
  }
}

}  // namespace demo
