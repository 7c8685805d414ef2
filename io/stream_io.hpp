// The loop of every socket operation, in one place: try the call, wait on EAGAIN, try again.
//
//   snapshot the tick -> call -> EAGAIN: clear readiness with that tick, wait -> call ...
//
// The call is tried first unless the driver has spoken and said "nothing there": then it could only
// say EAGAIN.
// I7: after a short read or write of a TCP stream nothing is left (or no room is), so readiness is
//   cleared without the extra call (9 to 13 % of an echo server's throughput); beside urgent data
//   or an error it proves nothing, and it never disproves an end.
#pragma once

#include "io/scheduled_io.hpp"
#include "io/sys/socket.hpp"

#include <cerrno>

namespace ramie {
inline namespace v0 {
namespace io {

struct Operation {
  ScheduledIo& io;
  Direction direction;
  sched::WaitKind kind;
  ScheduledIo::Sharing sharing = ScheduledIo::Sharing::one_waiter;
};

inline std::error_code system_error(std::int64_t negative_errno) noexcept {
  return {static_cast<int>(-negative_errno), std::system_category()};
}

enum class Short : bool { proves_nothing, clears };

// For a caller that has entered the wait: no other fiber runs between that and the first try.
// `call(asked)` asks for `asked` bytes, `size` or fewer (it lowers the number), and returns a count
// or -errno. What a count below that means for the readiness: `on_short`.
template <class Call>
Result<std::size_t> run_entered(const Operation& operation, std::size_t size, Short on_short,
                                Call&& call) noexcept {
  const bool is_read = operation.direction == Direction::read;
  const Interest interest = is_read ? Interest::readable : Interest::writable;
  const IoState::Bits side = is_read ? IoState::kReadable : IoState::kWritable;
  const IoState::Bits mask = IoState::waited_for(interest);
  IoState& state = operation.io.state();
  for (IoState::Snapshot seen = state.load();;) {
    if ((seen.ready() & mask) != 0 || seen.is_unknown(operation.direction)) {
      std::size_t asked = size;
      const sys::Bytes n = call(asked);
      if (n >= 0) {
        const auto count = static_cast<std::size_t>(n);
        if (count == 0 && size != 0) sched::note_fruitless();
        if (count != 0 && count < asked && on_short == Short::clears &&
            ((seen.ready() & (IoState::kPriority | IoState::kError)) == 0 || RAMIE_MUTANT(410)))
          state.clear(operation.direction, side, seen);
        return count;
      }
      if (n == -EINTR) continue;
      if (n != -EAGAIN) {
        sched::note_fruitless();
        return failure(system_error(n));
      }
      state.clear(operation.direction, IoState::noted_for(interest), seen);
    }
    auto ready = operation.io.wait(interest, operation.kind, operation.sharing);
    if (!ready) return failure(ready.error());
    seen = *ready;
  }
}

// The same for all others.
template <class Call>
Result<std::size_t> run_operation(const Operation& operation, std::size_t size, Short on_short,
                                  Call&& call) noexcept {
  if (auto entered = sched::Wait(operation.kind, &operation.io).enter(); !entered)
    return failure(entered.error());
  return run_entered(operation, size, on_short, call);
}

}  // namespace io
}  // namespace v0
}  // namespace ramie
