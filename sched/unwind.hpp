// Walks a stack: of a fiber that is switched out, or of the code that a signal has interrupted.
//
// By the unwind tables that C++ needs for exceptions, so that programs built without frame pointers
// show all their frames. A fiber's stack is only read: nothing runs on it.
//
// Rejected: frame pointers (a user's -O2 has none), running the unwinder on the fiber itself (it
// writes kilobytes below its frames: two pages more for each of 100,000 parked fibers).
#pragma once

#include "sched/context.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie {
inline namespace v0 {
namespace sched {

// Addresses inside the calls, the innermost first.
struct Frames {
  static constexpr std::size_t kMost = 48;
  std::array<std::uintptr_t, kMost> at;
  std::size_t count = 0;

  std::span<const std::uintptr_t> view() const noexcept { return {at.data(), count}; }
  void add(std::uintptr_t address) noexcept {
    if (count < kMost) at[count++] = address;
  }
};

// The fiber is switched out and stays so meanwhile.
void unwind(const FiberContext& fiber, Frames& frames) noexcept;
// The caller of the caller, and so on.
void unwind_here(Frames& frames) noexcept;
// In a signal handler: what the signal has interrupted. Takes no lock and allocates nothing
// (glibc 2.35 finds the tables without), once unwind_ahead() has run.
void unwind_interrupted(std::uintptr_t at, Frames& frames) noexcept;
void unwind_ahead() noexcept;

// Does this run in a signal handler? Walks the stack: for messages, and for checks.
bool is_in_signal_handler() noexcept;
// Stops the program with the message for who waits in one.
[[noreturn]] void refuse_wait_in_handler() noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
