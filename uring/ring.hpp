// One io_uring of one thread. The only file that knows liburing is ring.cpp.
//
//   push -> submit or wait -> the kernel -> take
//
// Set-up steps down: the best flags first, and what an older kernel refuses (EINVAL) is left out
// bit by bit; too little locked memory (ENOMEM) makes the ring smaller. Whatever else is refused is
// the caller's to remember. What the kernel can do is asked of it, never guessed from a version.
//
// Any thread may use a ring, one at a time; no flag that ties it to one thread is set
// (SINGLE_ISSUER, DEFER_TASKRUN: then a completion would wait until that thread enters the kernel
// for it). What a thread has submitted the kernel completes in that thread's time all the same: at
// the next tick if it computes, at once if it sleeps in a call, which then goes on.
#pragma once

#include "sched/base/clock.hpp"

#include <ramie/result.hpp>
#include <ramie/uring.hpp>

#include <bitset>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ramie {
inline namespace v0 {
namespace uring {

enum class RingMode : std::uint8_t {
  automatic,    // the best that the kernel takes
  cooperative,  // a thread that computes is not interrupted for a completion
  plain
};

struct RingOptions {
  unsigned entries = 256;    // submissions between two enters
  unsigned completions = 0;  // room for them; 0: four times the entries
  RingMode mode = RingMode::automatic;
};

// What the kernel says at the end of an operation, or on its way.
struct Event {
  std::uint64_t tag;
  std::int32_t result;
  std::uint32_t flags;
};

// A result as a user may hear it: what the kernel says to itself of a call that it would restart
// after a signal (512 to 516, for an open or a wait that a cancel ended) is -EINTR.
inline std::int32_t as_heard(std::int32_t result) noexcept {
  constexpr std::int32_t kFirst = -512;  // ERESTARTSYS: no header for users names them
  constexpr std::int32_t kLast = -516;   // ERESTART_RESTARTBLOCK
  return result <= kFirst && result >= kLast ? -EINTR : result;
}

class Ring {
 public:
  static constexpr std::uint32_t kMore = 1U << 1U;          // IORING_CQE_F_MORE
  static constexpr std::uint32_t kNotification = 1U << 3U;  // IORING_CQE_F_NOTIF

  // Errors: the kernel's for io_uring_setup; not_supported if it lacks what we cannot do without.
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options) noexcept;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // False: no room; submit() makes some.
  [[nodiscard]] bool push(const Entry& entry) noexcept;
  // Gives the kernel what was pushed, and takes what has completed so far into the queue. 0 or
  // -errno; after an error what was not given stays pushed.
  int submit() noexcept;
  // The same, and sleeps until something has completed, at most `max_wait` (negative: for ever).
  int wait(base::Nanos max_wait) noexcept;
  // Of what was pushed and not given the last one, which is given no more: its tag.
  [[nodiscard]] bool take_back(std::uint64_t& tag) noexcept;
  // Has submit() something to do: entries to give, completions to run or to bring in?
  bool needs_enter() const noexcept;
  // Or take() something to give?
  bool has_news() const noexcept;
  std::size_t take(std::span<Event> events) noexcept;

  std::size_t completions() const noexcept;  // room for them
  RingMode mode() const noexcept { return mode_; }
  using Opcodes = std::bitset<256>;
  const Opcodes& opcodes() const noexcept { return opcodes_; }

 private:
  struct Parts;
  Ring(std::unique_ptr<Parts> parts, RingMode mode) noexcept;

  std::unique_ptr<Parts> parts_;
  RingMode mode_;
  Opcodes opcodes_;
};

}  // namespace uring
}  // namespace v0
}  // namespace ramie
