// Walks a stack: of a fiber that is switched out, or of the code that a signal has interrupted.
//
// It uses the unwind tables that C++ needs for exceptions, so programs built without frame pointers
// show all their frames. It only reads the fiber's stack and runs nothing on it.
//
// Rejected: frame pointers (a user's -O2 has none), running the unwinder on the fiber itself (it
// writes kilobytes below its frames: two pages more for each of 100,000 parked fibers).
#pragma once

#include "sched/context.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie::inline v0::sched {

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

// The fiber is switched out, and stays so meanwhile.
void unwind(const FiberContext& fiber, Frames& frames) noexcept;
// The caller of the caller, and so on.
void unwind_here(Frames& frames) noexcept;
// Called in a signal handler: walks what the signal has interrupted. Once unwind_ahead() has run,
// it takes no lock and allocates nothing (glibc 2.35 finds the tables without either).
void unwind_interrupted(std::uintptr_t at, Frames& frames) noexcept;
void unwind_ahead() noexcept;

// Is the caller in a signal handler? Walks the stack, so it is for messages and checks only.
bool is_in_signal_handler() noexcept;
// Stops the program with the message for a wait in a signal handler.
[[noreturn]] void refuse_wait_in_handler() noexcept;

}  // namespace ramie::inline v0::sched
