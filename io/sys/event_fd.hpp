// An eventfd as a bell: each ring is a new edge for an edge-triggered epoll, so nobody drains it.
#pragma once

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

int open_event() noexcept;  // non-blocking, close-on-exec; or -errno

// An edge, whatever happens. For signal handlers too: touches nothing but the descriptor and leaves
// errno as it was.
void ring(int fd) noexcept;

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
