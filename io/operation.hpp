// The loop of every operation on a descriptor: try the call, wait on EAGAIN, try again.
//
//     snapshot the tick -> call -> EAGAIN: clear readiness with that tick, wait -> call -> ...
//
// This is the only such loop in Ramie. net::Socket, fs::Watcher and Registration::io() use it.
//
// I7: A read or write of a TCP stream that moved less than it asked for has emptied the socket or
//     filled its buffer. So the loop clears readiness without another call that would return
//     EAGAIN. That saves 9 to 13 % of an echo server's throughput. If urgent data or an error is
//     pending, a short count proves nothing. It never proves that the stream has not ended.
#pragma once

#include "io/scheduled_io.hpp"
#include "io/sys/outcome.hpp"

#include <cerrno>
#include <cstdint>
#include <utility>

namespace ramie::inline v0::io {

// What a count smaller than the requested one means for readiness.
enum class Short : bool { proves_nothing, clears };

// How the loop begins.
enum class Start : std::uint8_t {
  unless_not_ready,  // with the call, unless the driver reported and nothing is ready
  with_call,
  with_wait
};

// Make it before the operation enters its wait. It keeps the generation of the slot: an operation
// of a descriptor that is closed meanwhile ends with `canceled`, even if the slot is reused.
struct Operation {
  ScheduledIo& io;
  Interest interest;
  sched::WaitKind kind;
  ScheduledIo::Sharing sharing = ScheduledIo::Sharing::one_waiter;
  Short on_short = Short::proves_nothing;
  Start start = Start::unless_not_ready;
  std::uint16_t generation = io.generation();
};

// Runs the loop for a caller that has called `wait.enter()`. No other fiber runs between that and
// the first try. `call(asked)` asks for `asked` bytes. That is `size`, or less if the call lowers
// it. It returns a count or -errno.
template <class Call>
Result<std::size_t> run_entered(sched::Wait& wait, const Operation& operation, std::size_t size,
                                Call&& call) noexcept(noexcept(call(size))) {
  const Interest interest = operation.interest;
  IoState& state = operation.io.state();
  IoState::Snapshot seen = state.load();
  const auto is_closed = [&] {
    return seen.is_gone() || operation.io.generation() != operation.generation;
  };
  bool tries = operation.start == Start::with_call ||
               (operation.start == Start::unless_not_ready && seen.may_be_ready(interest));
  for (bool has_waited = false;;) {
    if (tries) {
      if (is_closed()) return failure(errc::canceled);
      std::size_t asked = size;
      const Bytes n = call(asked);
      if (n >= 0) {
        const auto count = static_cast<std::size_t>(n);
        if (count == 0 && size != 0) sched::note_fruitless();
        if (count != 0 && count < asked && operation.on_short == Short::clears &&
            (seen.ready() & (IoState::kPriority | IoState::kError)) == 0)
          state.clear(IoState::moved_by(interest), seen);
        return count;
      }
      if (n == -EINTR) continue;
      if (n != -EAGAIN) {
        sched::note_fruitless();
        return failure(system_error(n));
      }
      // A call of the user may have waited.
      if (operation.io.generation() != operation.generation) return failure(errc::canceled);
      state.clear(IoState::noted_for(interest), seen);
    }
    auto ready = operation.io.wait(wait, interest, operation.sharing, operation.generation);
    if (!ready) return failure(ready.error());
    seen = *ready;
    tries = true;
    // If an event came during each call, the fiber has not parked, and has heard of no cancel.
    if (std::exchange(has_waited, true)) {
      if (auto entered = wait.enter(); !entered) return failure(entered.error());
      seen = state.load();
    }
  }
}

// The same for a caller that has not entered the wait.
template <class Call>
Result<std::size_t> run(const Operation& operation, std::size_t size,
                        Call&& call) noexcept(noexcept(call(size))) {
  sched::Wait wait(operation.kind, &operation.io);
  if (auto entered = wait.enter(); !entered) return failure(entered.error());
  return run_entered(wait, operation, size, call);
}

}  // namespace ramie::inline v0::io
