// One operation and its memory. Both live on the stack of the fiber that waits for it.
//
//     IDLE --start()--> QUEUED ----room in the ring----> IN_KERNEL --final completion--> DONE
//                          |                                |  ^
//                          +--cancel()--> DONE, by the      +--+  cancel(): asks, and changes
//                                         owner                   nothing else
//
// The kernel uses the memory until the final completion, whatever it answered to a cancel: a read
// that could not be cancelled writes into its buffer later. So the fiber waits twice: first a wait
// that a cancel may end, and then, if it did, a wait that only the final completion ends.
//
// The fiber owns the members before `wants_cancel`. The Site's mutex protects the rest from start()
// on.
#pragma once

#include "sched/base/intrusive_list.hpp"
#include "sched/fiber.hpp"
#include "sched/waiter.hpp"

#include <ramie/uring.hpp>

#include <cstdint>

namespace ramie::inline v0::uring {

struct Op : base::Link {  // in the list of those that wait for room, or to be cancelled
  enum class State : std::uint8_t { idle, queued, in_kernel, done };

  Entry entry;
  sched::WaitKind kind = sched::WaitKind::uring;  // this and the next are for dumps
  const void* object = this;
  // For an operation with several results: takes each result, under the Site's mutex. Returns true
  // if that is enough and the operation should end.
  bool (*take_result)(Op&, std::int32_t result) noexcept = nullptr;
  bool is_brief = false;  // ends by itself, so it may wait for room in the kernel
  base::Plain<bool> wants_cancel = false;
  base::Plain<State> state = State::idle;
  base::Plain<std::int32_t> result = 0;
  base::Plain<std::uint32_t> flags = 0;
  std::uint64_t tag = 0;  // while it is in the kernel
  sched::WaiterList waiters;
};

}  // namespace ramie::inline v0::uring
