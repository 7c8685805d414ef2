// Wait for Unix signals: a stream of one kind, Ctrl-C, or the token that ends a server.
//
//   const auto stop = ramie::signal::shutdown();                  // SIGINT or SIGTERM cancels it
//   auto accepted = ramie::until(stop, [&] { return listener.accept(); });
//
// The first use of a kind installs a handler for the whole process, and the handler stays: if you
// destroy a Signal, the default action does not come back. Several signals of one kind before a
// recv() count as one.
#pragma once

#include <ramie/cancel.hpp>
#include <ramie/result.hpp>

#include <compare>
#include <csignal>
#include <cstdint>
#include <memory>

namespace ramie::inline v0::signal {

class Listeners;

/// A signal number. Signal::open() refuses the numbers that a program cannot catch.
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

/// Receives one kind of signal. Every Signal of that kind, in every runtime, receives each signal.
class Signal {
 public:
  /// Starts to listen for `kind`. Signals that arrive after this call count.
  /// Returns  the listener; it belongs to the current runtime.
  /// Errors   invalid_argument: a number below 1 or above SIGRTMAX, a number that libc keeps for
  ///          itself, or KILL, STOP, ILL, FPE, SEGV, BUS; no_runtime; unsupported in a runtime
  ///          without signals (Builder::process_wide); the error of a sandbox that denies
  ///          sigaction.
  /// Threads  one that runs fibers or has entered a runtime.
  [[nodiscard]] RAMIE_API static Result<Signal> open(Kind kind) noexcept;

  /// Waits until the signal has arrived at least once since the last recv(), or since open().
  /// Returns  success; one success for all signals that have arrived.
  /// Errors   canceled, timed_out; shutting_down, also after its runtime has ended.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  one at a time; each fiber that listens opens its own Signal.
  /// Cancel   safe: no signal is lost.
  [[nodiscard]] RAMIE_API Result<void> recv() noexcept;

  Kind kind() const noexcept { return kind_; }

 private:
  Signal(Kind kind, std::shared_ptr<Listeners> listeners) noexcept;

  Kind kind_;
  std::shared_ptr<Listeners> listeners_;
  std::uint64_t seen_;
};

/// Waits for the next SIGINT. From the first call on, Ctrl-C no longer ends the process.
/// Returns  success after it has arrived; a signal that arrives between two calls is not seen.
/// Errors   no_runtime; canceled, timed_out, shutting_down.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any number may wait at the same time.
/// Cancel   safe: may be called again.
[[nodiscard]] RAMIE_API Result<void> ctrl_c() noexcept;

/// The shutdown token of the process. The first SIGINT or SIGTERM after the first call cancels it,
/// and it stays cancelled. That signal also restores the default action of both kinds, so the next
/// one ends the process: you can still stop a server that hangs while it drains.
/// Returns  the same token for every call, also outside a runtime. Only a running runtime can
///          cancel it: a signal that arrives before one runs is kept until then.
/// Errors   throws std::bad_alloc.
[[nodiscard]] RAMIE_API CancellationToken shutdown();

}  // namespace ramie::inline v0::signal
