// The async-signal-safe half: what the handler does, and all that it may touch.
//
//   kernel -> handler: pending |= bit ---> ring every runtime's bell ---> (its driver wakes up)
//                          |
//   any driver: take() <---+   whoever comes first takes the whole set, for listeners everywhere
//
// S1  The bit is set before a bell rings, and taken after the bell was heard: none is lost, and a
//     bell that finds the set empty is harmless.
// S2  Handlers are installed once per process and stay. Only shutdown's first signal removes two.
// S3  The handler works for the process that installed it. A forked child inherits it and must not
//     ring its parent's bells: there the signal gets its default action. If the child opens signals
//     itself, it starts afresh.
// S4  No bell is rung after its descriptor was closed (the number may be somebody else's by then).
// S7  A signal that is blocked in all threads would stay with the kernel: whoever started us may
//     have blocked it. So a worker of each runtime lets in what is heard: the one that opened the
//     signal, or the one that hears the bell, which is rung for each new kind. Other threads keep
//     their masks.
//
// Handlers that a program had before are replaced, not called: who installs one for the same signal
// wants to be the only one to decide what it means. signalfd was rejected: every thread of the
// process, also those that we did not start, would have to block the signal.
#pragma once

#include "io/sys/fd.hpp"

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace signal {

// Bit n-1 stands for signal n; Linux has 64.
using SignalSet = std::uint64_t;
inline constexpr int kMaxSignal = 64;
constexpr SignalSet bit_of(int number) noexcept { return SignalSet{1} << (number - 1); }

namespace pipe {

inline constexpr std::size_t kMaxBells = 1024;

// `number` is within 1..kMaxSignal. Errors: invalid_argument if the kernel or libc refuses it,
// what a sandbox says that denies sigaction.
Result<void> install(int number) noexcept;
// From now on the first SIGINT or SIGTERM is the shutdown; it gives both their default action back.
void arm_shutdown() noexcept;
bool is_shutdown_requested() noexcept;

// The signal asks the watchdogs for a dump (sched/watchdog.hpp), until somebody opens it as an
// ordinary one. False: the program has a handler for it, or ignores it.
bool install_dump(int number) noexcept;
// Some signal is handled that is not the one for dumps: fibers may wait for it.
bool is_in_use() noexcept;

// On a worker's thread: unblocks all that is handled (S7).
void let_in() noexcept;

// What has come since the last take().
SignalSet take() noexcept;

// One runtime's eventfd in the handler's table.
class Bell {
 public:
  // Already rung if something is pending. Errors: those of eventfd; too_many_files_open.
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

}  // namespace pipe
}  // namespace signal
}  // namespace v0
}  // namespace ramie
