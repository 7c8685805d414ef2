// An eventfd that wakes an edge-triggered epoll. Each write is a new edge, so nobody drains it.
#pragma once

namespace ramie::inline v0::io::sys {

int open_event() noexcept;  // non-blocking, close-on-exec; -errno on failure

// Makes an edge in every case. Signal handlers may call it: it touches only the descriptor and
// restores errno.
void ring(int fd) noexcept;

}  // namespace ramie::inline v0::io::sys
