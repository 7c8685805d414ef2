// One operation and its memory: both live on the stack of the fiber that waits for it.
//
//   IDLE --start()--> QUEUED ----room in the ring----> IN_KERNEL --final completion--> DONE
//                        |                                |  ^
//                        +--cancel()--> DONE, by the      +--+  cancel(): asks, and changes
//                                       owner                   nothing else
//
// The only way out of the kernel's hands is the final completion, whatever a cancel was answered: a
// read that could not be cancelled any more writes into its buffer later. So the fiber waits twice:
// a wait that a cancel may end, and, if it did, one that nothing ends but the completion.
//
// What comes before `wants_cancel` is the fiber's, the rest the Site's mutex's from start() on.
#pragma once

#include "sched/base/intrusive_list.hpp"
#include "sched/fiber.hpp"
#include "sched/waiter.hpp"

#include <ramie/uring.hpp>

#include <cstdint>

namespace ramie {
inline namespace v0 {
namespace uring {

struct Op : base::Link {  // the Link: among those that wait for room, or for their cancel
  enum class State : std::uint8_t { idle, queued, in_kernel, done };

  Entry entry;
  sched::WaitKind kind = sched::WaitKind::uring;  // for dumps, as the next
  const void* object = this;
  // For operations with several results: takes each, under the Site's mutex; true: that's enough,
  // it shall end.
  bool (*take_result)(Op&, std::int32_t result) noexcept = nullptr;
  bool is_brief = false;  // ends by itself: may be kept out of the kernel while others are in it
  base::Plain<bool> wants_cancel = false;
  base::Plain<State> state = State::idle;
  base::Plain<std::int32_t> result = 0;
  base::Plain<std::uint32_t> flags = 0;
  std::uint64_t tag = 0;  // while it is in the kernel
  sched::WaiterList waiters;
};

}  // namespace uring
}  // namespace v0
}  // namespace ramie
