// An eventfd as a bell: each ring is a new edge for an edge-triggered epoll, so nobody drains it.
#pragma once

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

int open_event() noexcept;  // non-blocking, close-on-exec; or -errno

// Adds one; 0, or -EAGAIN: the counter is full.
int write_one(int fd) noexcept;
// Empties the counter.
void read_count(int fd) noexcept;

// For signal handlers too: touches nothing but the descriptor and leaves errno as it was. It cannot
// fail in practice: a full counter would take 2^64 rings.
void ring(int fd) noexcept;

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
