// One io_uring of one thread. The only file that knows liburing is ring.cpp.
//
//     push -> submit or wait -> the kernel -> take
//
// Set-up tries the best flags first. It leaves out bit by bit what an older kernel refuses
// (EINVAL), and makes the ring smaller if too little memory may be locked (ENOMEM). The caller
// remembers other refusals. Features are asked of the kernel and never derived from its version.
//
// Any thread may use a ring, one at a time. The flags that tie a ring to one thread (SINGLE_ISSUER,
// DEFER_TASKRUN) are not set, because a completion would then wait until that thread enters the
// kernel for it. The kernel still completes an operation in the time of the thread that submitted
// it: at the next tick if the thread computes, at once if it sleeps in a call, which then goes on.
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

namespace ramie::inline v0::uring {

enum class RingMode : std::uint8_t {
  automatic,    // the best that the kernel accepts
  cooperative,  // a thread that computes is not interrupted for a completion
  plain
};

struct RingOptions {
  unsigned entries = 256;    // submissions between two enters
  unsigned completions = 0;  // room for completions; 0 means four times `entries`
  RingMode mode = RingMode::automatic;
};

// What the kernel reports at the end of an operation, or before it.
struct Event {
  std::uint64_t tag;
  std::int32_t result;
  std::uint32_t flags;
};

// A result in the form that users get. For calls that it would restart after a signal the kernel
// may return 512 to 516 (an open or a wait that a cancel ended); that becomes -EINTR.
inline std::int32_t as_heard(std::int32_t result) noexcept {
  constexpr std::int32_t kFirst = -512;  // ERESTARTSYS: user headers do not define it
  constexpr std::int32_t kLast = -516;   // ERESTART_RESTARTBLOCK
  return result <= kFirst && result >= kLast ? -EINTR : result;
}

class Ring {
 public:
  static constexpr std::uint32_t kMore = 1U << 1U;          // IORING_CQE_F_MORE
  static constexpr std::uint32_t kNotification = 1U << 3U;  // IORING_CQE_F_NOTIF

  // Errors: those of io_uring_setup; not_supported if the kernel lacks a feature that Ramie needs.
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options) noexcept;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Returns false if there is no room; submit() makes some.
  [[nodiscard]] bool push(const Entry& entry) noexcept;
  // Gives the kernel what was pushed, and brings what has completed into the queue. Returns 0 or
  // -errno. After an error the rest stays pushed.
  int submit() noexcept;
  // The same, then sleeps until something completes, at most `max_wait` (negative: without limit).
  int wait(base::Nanos max_wait) noexcept;
  // Removes the last entry that was pushed and not yet given to the kernel, and returns its tag.
  [[nodiscard]] bool take_back(std::uint64_t& tag) noexcept;
  // Whether submit() has work: entries to give, completions to run or to bring in.
  bool needs_enter() const noexcept;
  // The same, or take() has something to return.
  bool has_news() const noexcept;
  std::size_t take(std::span<Event> events) noexcept;

  std::size_t completions() const noexcept;  // room for completions
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

}  // namespace ramie::inline v0::uring
