// The public functions: Signal, ctrl_c() and shutdown().
#include "signal/handle.hpp"
#include "signal/handlers.hpp"
#include "signal/registry.hpp"

#include "sched/base/assert.hpp"
#include "sched/current.hpp"

#include <ramie/signal.hpp>

#include <csignal>

namespace ramie::inline v0::signal {

namespace {

// KILL and STOP cannot be caught. After a handler for one of the others returns, the faulting
// instruction runs again: the crash would become an endless loop.
constexpr SignalSet kForbidden = bit_of(SIGKILL) | bit_of(SIGSTOP) | bit_of(SIGILL) |
                                 bit_of(SIGFPE) | bit_of(SIGSEGV) | bit_of(SIGBUS);

bool can_be_heard(int number) noexcept {
  return number >= 1 && number <= SIGRTMAX && (kForbidden & bit_of(number)) == 0;
}

}  // namespace

Signal::Signal(Kind kind, std::shared_ptr<Listeners> listeners) noexcept
    : kind_(kind), listeners_(std::move(listeners)), seen_(listeners_->arrivals(kind.raw())) {}

Result<Signal> Signal::open(Kind kind) noexcept {
  if (!can_be_heard(kind.raw())) return failure(std::make_error_code(std::errc::invalid_argument));
  Handle* handle = Handle::current();
  if (handle == nullptr)
    return failure(sched::current_scheduler() == nullptr ? errc::no_runtime : errc::unsupported);
  Signal listener(kind, handle->listeners());
  if (auto installed = handlers::install(kind.raw()); !installed) return failure(installed.error());
  if (sched::current_worker() != nullptr) handlers::unblock();
  return listener;
}

Result<void> Signal::recv() noexcept {
  RAMIE_CHECK(listeners_ != nullptr,
              "this Signal was moved from: call recv() on the Signal that it was moved to");
  return listeners_->wait(kind_.raw(), seen_);
}

Result<void> ctrl_c() noexcept {
  auto interrupt = Signal::open(Kind::interrupt());
  if (!interrupt) return failure(interrupt.error());
  return interrupt->recv();
}

// The token exists before the first signal can cancel it.
CancellationToken shutdown() {
  const CancellationToken& token = Registry::instance().shutdown_token();
  handlers::arm_shutdown();
  if (sched::current_worker() != nullptr) handlers::unblock();
  return token;
}

}  // namespace ramie::inline v0::signal
