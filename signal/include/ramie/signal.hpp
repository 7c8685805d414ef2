// Unix signals as things to wait for: streams of one kind, Ctrl-C, the token that ends a server.
//
// The first use of a kind installs a handler for the whole process, for good: dropping a Signal
// does not bring the default action back. Signals coalesce, as they do in the kernel.
#pragma once

#include <ramie/cancel.hpp>
#include <ramie/result.hpp>

#include <compare>
#include <csignal>
#include <cstdint>
#include <memory>

namespace ramie {
inline namespace v0 {
namespace signal {

class Listeners;

/// Which signal. Any number can be named; Signal::open() says which can be heard.
class Kind {
 public:
  static constexpr Kind interrupt() noexcept { return Kind(SIGINT); }  // Ctrl-C
  static constexpr Kind terminate() noexcept { return Kind(SIGTERM); }
  static constexpr Kind hangup() noexcept { return Kind(SIGHUP); }
  static constexpr Kind quit() noexcept { return Kind(SIGQUIT); }
  static constexpr Kind user1() noexcept { return Kind(SIGUSR1); }
  static constexpr Kind user2() noexcept { return Kind(SIGUSR2); }
  static constexpr Kind child() noexcept { return Kind(SIGCHLD); }
  static constexpr Kind alarm() noexcept { return Kind(SIGALRM); }
  static constexpr Kind window_change() noexcept { return Kind(SIGWINCH); }
  static constexpr Kind from_raw(int number) noexcept { return Kind(number); }

  constexpr int raw() const noexcept { return number_; }
  friend constexpr auto operator<=>(Kind, Kind) noexcept = default;

 private:
  explicit constexpr Kind(int number) noexcept : number_(number) {}

  int number_;
};

/// Hears one kind of signal. Every Signal of that kind, in whatever runtime, hears each one.
class Signal {
 public:
  /// Starts to hear `kind`: signals that come after this call count.
  /// Returns  the listener; it belongs to the current runtime.
  /// Errors   invalid_argument: a number below 1 or above SIGRTMAX, one that libc keeps for itself,
  ///          or KILL, STOP, ILL, FPE, SEGV, BUS; no_runtime; unsupported in a runtime without
  ///          signals (Builder::process_wide); what a sandbox says that denies sigaction.
  /// Blocks   never.
  /// Threads  any that runs fibers or has entered a runtime.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API static Result<Signal> open(Kind kind) noexcept;

  /// Waits until the signal has come at least once since the last recv(), or since open().
  /// Returns  success, once for however many have come.
  /// Errors   canceled, timed_out; shutting_down, also after the end of the runtime it belongs to.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time; each fiber that listens opens its own.
  /// Cancel   safe: a signal is not lost.
  [[nodiscard]] RAMIE_API Result<void> recv() noexcept;

  Kind kind() const noexcept { return kind_; }

 private:
  Signal(Kind kind, std::shared_ptr<Listeners> listeners) noexcept;

  Kind kind_;
  std::shared_ptr<Listeners> listeners_;
  std::uint64_t seen_;
};

/// Waits for the next SIGINT. From the first call on, Ctrl-C no longer ends the process.
/// Returns  success once it has come; one that comes between two calls is not seen.
/// Errors   no_runtime; canceled, timed_out, shutting_down.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any number of waiters.
/// Cancel   safe.
[[nodiscard]] RAMIE_API Result<void> ctrl_c() noexcept;

/// The process's shutdown token: the first SIGINT or SIGTERM after the first call cancels it, for
/// good. That signal also gives both kinds their default action back, so the next one ends the
/// process: a server that hangs while it drains can still be stopped by hand.
/// Returns  the one token, also outside a runtime; it takes a running runtime to cancel it, and a
///          signal that comes before one runs is kept until then.
/// Errors   throws std::bad_alloc.
/// Blocks   never.
/// Threads  any.
/// Cancel   not a wait.
[[nodiscard]] RAMIE_API CancellationToken shutdown();

}  // namespace signal
}  // namespace v0
}  // namespace ramie
