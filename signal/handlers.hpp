// The signal handlers of the process, and everything that they may touch. This half of the folder
// is async-signal-safe; registry.hpp is the other half.
//
//   kernel -> handler: pending |= bit ---> ring the bell of every runtime ---> its driver wakes up
//                          |
//   any driver: take() <---+   the first driver takes the whole set, for all listeners
//
// S1  The handler sets the bit before it rings a bell, and a driver takes the bit after it heard
//     the bell. So no signal is lost. A bell that finds no bit set does no harm.
// S2  A handler is installed once in a process and stays. Only the first signal after shutdown()
//     removes two of them.
// S3  The handler works for the process that installed it. A forked child inherits the handler, but
//     must not ring the bells of its parent: there the signal gets its default action. If the child
//     opens signals itself, it starts with nothing installed.
// S4  The handler rings no bell whose descriptor was closed: the number may belong to another file.
// S7  The process that started us may have blocked a signal. If all threads block it, the kernel
//     keeps it. So one worker of each runtime unblocks the signals that have a handler: the worker
//     that opens the signal, or the one that hears the bell, which rings for each new kind. Other
//     threads keep their masks.
//
// We replace the handler that a program had before, and do not call it: two handlers for one signal
// rarely agree on what it means. Rejected: signalfd, because every thread of the process would have
// to block the signal, also the threads that we did not start.
#pragma once

#include "io/sys/fd.hpp"

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::signal {

// Bit n-1 stands for signal n; Linux has 64.
using SignalSet = std::uint64_t;
inline constexpr int kMaxSignal = 64;
constexpr SignalSet bit_of(int number) noexcept { return SignalSet{1} << (number - 1); }

namespace handlers {

inline constexpr std::size_t kMaxBells = 1024;

// `number` is within 1..kMaxSignal. Errors: invalid_argument if the kernel or libc refuses it; the
// error of a sandbox that denies sigaction.
Result<void> install(int number) noexcept;
// From now on the first SIGINT or SIGTERM requests the shutdown and restores the default action of
// both.
void arm_shutdown() noexcept;
bool is_shutdown_requested() noexcept;

// The signal asks the watchdogs for a dump (sched/watchdog.hpp), until the program opens it as an
// ordinary signal. Returns false if the program has a handler for it, or ignores it.
bool install_dump(int number) noexcept;
// Whether a signal other than the one for dumps has a handler: fibers may wait for it.
bool is_in_use() noexcept;

// Unblocks the signals that have a handler, on a worker's thread (S7).
void unblock() noexcept;

// The signals that have arrived since the last take().
SignalSet take() noexcept;

// The eventfd of one runtime, in a table that the handler reads.
class Bell {
 public:
  // The bell rings at once if a signal is pending. Errors: those of eventfd; too_many_files_open.
  static Result<Bell> create() noexcept;
  Bell(Bell&&) noexcept = default;
  Bell& operator=(Bell&&) = delete;
  ~Bell();

  int fd() const noexcept { return fd_.get(); }

 private:
  Bell(io::sys::UniqueFd fd, std::size_t slot) noexcept : fd_(std::move(fd)), slot_(slot) {}

  io::sys::UniqueFd fd_;
  std::size_t slot_;
};

}  // namespace handlers
}  // namespace ramie::inline v0::signal
