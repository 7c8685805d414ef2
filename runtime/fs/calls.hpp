// Decides where the calls of a file operation run. A sequence of calls is written once, against
// `Calls`; run() chooses the place:
//
//     plain thread, or thread of the pool   each call is a system call that blocks the thread
//     fiber, its worker has a ring          each call is an operation of the ring; it is a job of
//                                           the pool if the kernel's io_uring lacks it, denies it,
//                                           or has no thread for it
//     fiber, no ring                        the whole sequence is one job of the pool
//
// A long operation is a sequence of pieces of at most kChunk bytes, each a call of perform().
// Between two pieces a job checks whether it should stop. A fiber that has run for a while yields,
// and then its deadline is checked. It needs that because data in the page cache completes at once,
// so the fiber would never park.
//
// When run() returns, nothing uses the caller's memory any more, in every place and after every
// cancel. A cancel ends the sequence between two calls, or ends the call itself where the kernel
// allows it. Data that was moved wins over the cancel.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/clock.hpp"

#include <ramie/task.hpp>
#include <ramie/uring.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

namespace ramie::inline v0 {

namespace uring {
class Handle;
}

namespace fs {

using Count = std::int64_t;  // a count or a descriptor, or -errno

enum class Place : std::uint8_t { here, ring, pool };

// The most that one call of a longer sequence moves. A cancel, a deadline and the worker's other
// fibers wait for it.
inline constexpr std::size_t kChunk = std::size_t{1} << 20;

class Calls {
 public:
  using Stop = base::Atomic<bool>;

  explicit Calls(const Stop* stop) noexcept : place_(Place::here), stop_(stop) {}
  explicit Calls(Place place) noexcept : place_(place) {}

  // Makes one call. `prepare(entry)` fills an entry of `opcode` for the ring; `call()` is the same
  // as a system call. Interrupted calls are repeated. Returns -ECANCELED after a cancel; see
  // code().
  template <class Prepare, class Call>
  Count perform(std::uint8_t opcode, Prepare&& prepare, Call&& call) {
    Count result = kNoRing;
    if (uses_ring(opcode)) {
      uring::Entry entry;
      entry.opcode = opcode;
      prepare(entry);
      result = on_ring(entry);
      if (result != kNoRing && !is_suspect_) return result;
    }
    return told(opcode, result, perform(std::forward<Call>(call)));
  }

  // The same for a call that has no opcode.
  template <class Call>
  Count perform(Call&& call);

  // Whether the sequence runs in a fiber. Then every call that waits must go through perform().
  bool is_in_fiber() const noexcept { return place_ == Place::ring; }

  // Whether a fiber waits for the sequence and may want to end it.
  bool is_for_fiber() const noexcept { return place_ != Place::here || stop_ != nullptr; }

  // For a wait of the fiber between calls that was ended: code() will return `why`. Returns
  // -ECANCELED.
  Count give_up(std::error_code why) noexcept {
    ended_ = why;
    return -ECANCELED;
  }

  // Whether a cancel or deadline has ended a call. Then the result of an earlier call is not the
  // answer.
  bool is_ended() const noexcept {
    return ended_ || (stop_ != nullptr && stop_->load(base::kRelaxed));
  }

  // Whether perform() would make `opcode` an operation of the ring.
  bool uses_ring(std::uint8_t opcode) const noexcept {
    return place_ == Place::ring && has(opcode);
  }

  // The calls from here on may wait for another process, as on a pipe, so they are not brief.
  void expect_to_wait() noexcept { is_brief_ = false; }

  // Others may use the descriptor's position too. Then only the kernel can move it without loss.
  void share_position(bool is_shared) noexcept { is_position_shared_ = is_shared; }
  bool is_position_shared() const noexcept { return is_position_shared_; }

  // Converts `result`, an -errno of one of our calls, for the user. A cancel has its own codes.
  std::error_code code(Count result) const noexcept {
    if (result == -ECANCELED && ended_) return ended_;
    return {static_cast<int>(-result), std::system_category()};
  }
  Result<void> outcome(Count result) const noexcept {
    if (result < 0) return failure(code(result));
    return {};
  }

 private:
  static bool has(std::uint8_t opcode) noexcept;
  // Nothing was done: the fiber has moved to a worker without a ring, or the kernel's io_uring has
  // no thread for the operation.
  static constexpr Count kNoRing = std::numeric_limits<Count>::min();
  Count on_ring(const uring::Entry& entry) noexcept;
  // Call this before a call in the fiber. Yields if this fiber has run for long.
  void pause() noexcept;
  // Compares both results. Learns whether an opcode is denied.
  Count told(std::uint8_t opcode, Count in_ring, Count by_call) noexcept;

  const Place place_;
  bool is_brief_ = true;
  // The ring's answer may come from the file or from a filter of io_uring; the system call tells.
  bool is_suspect_ = false;
  bool is_position_shared_ = false;
  const Stop* stop_ = nullptr;
  std::error_code ended_;
  std::uint64_t calls_ = 0;             // number of calls in the ring
  std::optional<base::Instant> since_;  // this fiber has run, as far as we know
};

// Where the calls of the current fiber or thread run.
Place current_place() noexcept;
void count_job() noexcept;
// Why the current fiber may not begin anything, because it was cancelled; success if it may.
std::error_code refusal() noexcept;
// Waits for a job. If the wait is refused or ended, sets `stop` and still waits for the job's end.
// Returns why the wait was ended, or why there was no job.
std::error_code wait_for_job(JoinHandle<void>& job, Calls::Stop& stop);

// Runs `sequence(Calls&)` as one job of the pool.
template <class Sequence>
auto run_in_pool(Sequence&& sequence) {
  using R = std::invoke_result_t<Sequence&, Calls&>;
  if (const std::error_code refused = refusal()) return R(failure(refused));
  std::optional<R> result;
  Calls::Stop stop{false};
  count_job();
  auto job = spawn_blocking([&] {
    Calls calls(&stop);
    result.emplace(sequence(calls));
  });
  const std::error_code ended = wait_for_job(job, stop);
  if (!result) return R(failure(ended));
  const bool was_stopped = !*result && result->error() == std::errc::operation_canceled;
  if (was_stopped && ended) return R(failure(ended));
  return std::move(*result);
}

template <class Call>
Count Calls::perform(Call&& call) {
  if (place_ == Place::here) {
    if (stop_ != nullptr && stop_->load(base::kRelaxed)) return -ECANCELED;
    Count result = -EINTR;
    while (result == -EINTR) result = call();
    return result;
  }
  const auto result =
      run_in_pool([&](Calls& calls) -> Result<Count> { return calls.perform(call); });
  if (result) return *result;
  ended_ = result.error();
  return -ECANCELED;
}

// Runs `sequence(Calls&)`, which returns a Result, in the best place.
template <class Sequence>
auto run(Sequence&& sequence) {
  const Place place = current_place();
  if (place == Place::pool) return run_in_pool(std::forward<Sequence>(sequence));
  Calls calls(place);
  return sequence(calls);
}

// The same for a sequence whose calls have no opcodes: it is at most one job.
template <class Sequence>
auto run_blocking(Sequence&& sequence) {
  if (current_place() != Place::here) return run_in_pool(std::forward<Sequence>(sequence));
  Calls calls(Place::here);
  return sequence(calls);
}

}  // namespace fs
}  // namespace ramie::inline v0
