// Where the calls of a file operation run. A sequence of calls is written once, against `Calls`;
// run() chooses the place:
//
//   plain thread, or a thread of the pool   each call is made as it stands, and blocks the thread
//   fiber, its worker has a ring            each call is an operation of the ring; one that the
//                                           kernel's io_uring lacks, is denied, or has no thread
//                                           for, is a job of the pool
//   fiber, no ring                          the whole sequence is one job of the pool
//
// A long operation is a sequence of pieces: kChunk bytes at most, each a call of perform(). Between
// two of them a job looks whether it shall stop, and a fiber that has kept its worker for a while
// lets others run, whereupon its own deadline is looked at: what the page cache has completes at
// once, so that the fiber would never park.
//
// Whatever the place and whatever a cancel does meanwhile: when run() returns nobody touches the
// caller's memory any more. A cancel ends the sequence between two calls, or the call itself where
// the kernel lets it; data that was moved wins over it.
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

namespace ramie {
inline namespace v0 {

namespace uring {
class Handle;
}

namespace fs {

using Count = std::int64_t;  // a count or a descriptor, or -errno

enum class Place : std::uint8_t { here, ring, pool };

// What one call of a longer sequence moves at most: a cancel, a deadline and the worker's other
// fibers wait for it.
inline constexpr std::size_t kChunk = std::size_t{1} << 20;

class Calls {
 public:
  using Stop = base::Atomic<bool>;

  explicit Calls(const Stop* stop) noexcept : place_(Place::here), stop_(stop) {}
  explicit Calls(Place place) noexcept : place_(place) {}

  // One call: `prepare(entry)` fills an entry of `opcode` for the ring, `call()` is the same as a
  // system call. Interrupted calls are repeated. -ECANCELED after a cancel; see code().
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

  // One that io_uring has no opcode for.
  template <class Call>
  Count perform(Call&& call);

  // The sequence runs in a fiber, so that what waits must be a call of perform().
  bool is_in_fiber() const noexcept { return place_ == Place::ring; }

  // Whoever waits for the sequence is a fiber, and wants to be able to end it.
  bool is_for_fiber() const noexcept { return place_ != Place::here || stop_ != nullptr; }

  // A wait of the fiber, between calls, was ended: what code() then says. -ECANCELED.
  Count give_up(std::error_code why) noexcept {
    ended_ = why;
    return -ECANCELED;
  }

  // A cancel or deadline has ended a call. What an earlier one said is not the answer then.
  bool is_ended() const noexcept {
    return ended_ || (stop_ != nullptr && stop_->load(base::kRelaxed));
  }

  // Would perform() make one of `opcode` an operation of the ring?
  bool uses_ring(std::uint8_t opcode) const noexcept {
    return place_ == Place::ring && has(opcode);
  }

  // The calls from here on may wait for somebody, as on a pipe: they take no disk's place.
  void expect_to_wait() noexcept { is_brief_ = false; }

  // Others may use the descriptor's position, too: only the kernel moves it without losing bytes.
  void share_position(bool is_shared) noexcept { is_position_shared_ = is_shared; }
  bool is_position_shared() const noexcept { return is_position_shared_; }

  // What `result`, an -errno of one of our calls, is for the user: a cancel has its own codes.
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
  // Nothing was done: the fiber may have come to a worker without a ring, or the kernel's io_uring
  // has no thread for it.
  static constexpr Count kNoRing = std::numeric_limits<Count>::min();
  Count on_ring(const uring::Entry& entry) noexcept;
  // Before a call in the fiber: others' turn, if it has been this fiber's for long.
  void pause() noexcept;
  // What both said; learns that an opcode is denied.
  Count told(std::uint8_t opcode, Count in_ring, Count by_call) noexcept;

  const Place place_;
  bool is_brief_ = true;
  // The ring's answer is the file's own, or a filter's in front of io_uring: the call can tell.
  bool is_suspect_ = false;
  bool is_position_shared_ = false;
  const Stop* stop_ = nullptr;
  std::error_code ended_;
  std::uint64_t calls_ = 0;             // in the ring
  std::optional<base::Instant> since_;  // this fiber runs, as far as we know
};

// Where the current fiber's, or thread's, calls run.
Place current_place() noexcept;
void count_job() noexcept;
// Why the current fiber, which was cancelled, may not begin anything; success if it may.
std::error_code refusal() noexcept;
// Waits for a job; if the wait is refused or ended, tells it by `stop`, and waits for its end all
// the same. Returns why the wait was ended, or why there was no job.
std::error_code wait_for_job(JoinHandle<void>& job, Calls::Stop& stop);

// `sequence(Calls&)` as one job of the pool.
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

// `sequence(Calls&)`, which returns a Result, in the place that suits.
template <class Sequence>
auto run(Sequence&& sequence) {
  const Place place = current_place();
  if (place == Place::pool) return run_in_pool(std::forward<Sequence>(sequence));
  Calls calls(place);
  return sequence(calls);
}

// The same for a sequence whose calls have no opcodes: at most one job.
template <class Sequence>
auto run_blocking(Sequence&& sequence) {
  if (current_place() != Place::here) return run_in_pool(std::forward<Sequence>(sequence));
  Calls calls(Place::here);
  return sequence(calls);
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
