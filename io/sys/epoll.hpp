// The kernel's readiness queue: add, remove, wait, wake. It makes no decisions. The only file that
// uses epoll.
#pragma once

#include "io/sys/fd.hpp"
#include "sched/base/clock.hpp"

#include <ramie/io.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ramie::inline v0::io::sys {

struct Event {
  std::uint64_t token;
  std::uint16_t ready;  // IoState's bits
};

// Returns what of `interest` is ready now, in IoState's bits, or -errno. ERR is left out: it may
// stand for an entry of the error queue, which does not concern a reader.
int level_of(int fd, Interest interest) noexcept;

class Poller {
 public:
  static constexpr std::uint64_t kWakeToken = 0;

  static Result<Poller> create(std::size_t max_events) noexcept;
  Poller(Poller&&) noexcept;
  ~Poller();

  // Edge-triggered, once in the descriptor's life. Returns 0 or -errno.
  int add(int fd, Interest interest, std::uint64_t token) noexcept;
  int remove(int fd) noexcept;
  // True in a forked child, where a change would change the parent's epoll.
  bool is_in_forked_child() const noexcept;

  // Waits at most `max_wait` (negative: without limit). An interruption counts as nothing ready.
  // Returns 0, or -errno on a real failure.
  int wait(base::Nanos max_wait, std::vector<Event>& events) noexcept;
  // Makes the current or the next wait return. Never drained: each write is a new edge.
  void wake() noexcept;
  int fd() const noexcept { return epoll_.get(); }
  // False if a wait has found that the kernel counts timeouts in milliseconds (epoll_pwait2, 5.11).
  bool has_fine_timeouts() const noexcept { return has_pwait2_; }

 private:
  struct Buffer;

  Poller(UniqueFd epoll, UniqueFd wake, std::vector<unsigned char> buffer) noexcept;

  UniqueFd epoll_;
  UniqueFd wake_;
  std::vector<unsigned char> buffer_;
  std::size_t capacity_;
  bool has_pwait2_ = true;
  std::uint32_t fork_number_ = 0;
};

}  // namespace ramie::inline v0::io::sys
