// A fiber's control block: words, links, timer entry, name, small closure and result.
//
// Blocks come from a type-stable slab (fiber_slab.hpp): reused, never returned before the runtime
//   ends, and the epoch in
// `word` only grows, so a late wake-up finds a block, not garbage. Whoever may touch a block
// without owning the fiber holds a reference: the run (from spawn to end), the JoinHandle, a
// canceller.
//
// Who owns which fields:
//   woken    whoever woke it, until the fiber is in a queue, then that queue: `queue_next`
//   running  its worker (context, stack) and the fiber itself (budget, scope, wait)
//   parked   nobody; wakers go through `word`
#pragma once

#include "sched/base/clock.hpp"
#include "sched/cancel.hpp"
#include "sched/context.hpp"
#include "sched/spin_watch.hpp"
#include "sched/time/timer_entry.hpp"
#include "sched/waiter.hpp"

#include <ramie/task.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace ramie {
inline namespace v0 {
namespace sched {

class Scheduler;
class Worker;
class ScopeCore;

// What a fiber waits for, for dumps.
enum class WaitKind : std::uint8_t {
  none,
  readable,
  writable,
  io,
  accept,
  connect,
  sleep,
  join,
  scope,
  mutex,
  condvar,
  semaphore,
  notify,
  channel,
  token,
  signal,
  blocking,
  uring,
  lookup,
};
const char* to_string(WaitKind kind) noexcept;

// Why a fiber switched out; its worker acts on it.
enum class Leaving : std::uint8_t { parking, yielding, ended };

// Who a fiber is, for messages about one that may have ended.
struct FiberIdentity {
  static constexpr std::size_t kNameBytes = 32;
  using Name = std::array<char, kNameBytes>;  // ends with a zero

  std::uint64_t id = 0;
  Name name{};
  const void* spawn_site = nullptr;
};

class Fiber final : public Sleeper, public base::Link {  // the Link: among the children of a Scope
 public:
  Fiber() noexcept : Sleeper(false) {}

  static constexpr std::size_t kNameBytes = FiberIdentity::kNameBytes;

  // --- identity, written by the spawner
  std::uint64_t id = 0;
  const void* spawn_site = nullptr;
  char name[kNameBytes] = {};
  Scheduler* scheduler = nullptr;

  // --- scheduling
  Fiber* queue_next = nullptr;
  Fiber* queue_prev = nullptr;  // in the blocking pool's queue only; not null there
  Worker* home = nullptr;       // pinned there
  base::Atomic<Worker*> worker{
      nullptr};  // that runs it now; read by the fiber after each resume, never kept
  FiberContext context;
  Stack* stack = nullptr;        // attached at the first run, detached at the end
  std::uintptr_t stack_low = 0;  // its lower end: each switch looks, and the record lies far away
  std::size_t stack_size = 0;
  base::Atomic<Leaving> leaving{Leaving::parking};
  base::Atomic<std::uint32_t> budget{0};

  // --- waiting
  base::Atomic<WaitKind> waits_for{WaitKind::none};
  base::Atomic<const void*> waits_on{nullptr};
  base::Atomic<std::int64_t> parked_at{0};  // ns, by its worker's last look at the clock
  TimerEntry timer;
  CancelState cancel;
  FruitlessWaits fruitless;

  // --- the task
  base::Plain<const detail::TaskOps*> ops = nullptr;
  base::Atomic<detail::Outcome> outcome{detail::Outcome::none};
  std::error_code error;
  std::exception_ptr exception;
  base::Atomic<std::uint8_t> result_flags{0};
  bool skip_body = false;      // cancelled before the first run
  ScopeCore* group = nullptr;  // the Scope it belongs to

  // --- the end
  static constexpr std::uint8_t kEnded = 1;
  static constexpr std::uint8_t kJoiners = 2;     // somebody stood in the line
  static constexpr std::uint8_t kLeftBehind = 4;  // its runtime ends without it: joins say so
  static constexpr std::uint8_t kRoot = 8;        // of a block_on()
  base::Atomic<std::uint8_t> join_flags{0};
  base::Mutex join_mutex;
  WaiterList joiners;
  base::Atomic<std::uint32_t> references{0};

  alignas(16) std::byte storage[detail::kTaskStorage];

  bool has_ended() const noexcept { return (join_flags.load(base::kAcquire) & kEnded) != 0; }
  bool is_left_behind() const noexcept {
    return (join_flags.load(base::kAcquire) & kLeftBehind) != 0;
  }
  // By who ends its runtime without it: joins return runtime_gone, those that wait and later ones.
  // If it ends all the same, later ones find its result.
  void leave_behind() noexcept;
  using Name = FiberIdentity::Name;
  void set_name(std::string_view text) noexcept;
  std::string_view view_name() const noexcept { return name; }  // for the fiber itself
  // For others. Of a fiber that changes its name meanwhile it may be a mix of both.
  Name copy_name() const noexcept;
  FiberIdentity identity() const noexcept { return {id, copy_name(), spawn_site}; }

  void retain() noexcept { references.fetch_add(1, base::kRelaxed); }
  // For whoever finds the block without owning a reference (the registry's walk).
  bool try_retain() noexcept;
  void release() noexcept;

  // A result that nobody takes is destroyed by whoever comes second, the task that left it or the
  // handle that is dropped: both may wait in its destructor. True: we are the second.
  static constexpr std::uint8_t kLeft = 1;
  static constexpr std::uint8_t kUnwanted = 2;
  [[nodiscard]] bool hand_over(std::uint8_t flag) noexcept {
    return result_flags.fetch_or(flag, base::kAcqRel) != 0;
  }

  // The edge "end happens before join, and before the block's next fiber".
  const void* end_edge() const noexcept { return &id; }
};

// Gives a reference back that somebody has.
class HeldReference {
 public:
  explicit HeldReference(Fiber& fiber) noexcept : fiber_(fiber) {}
  ~HeldReference() { fiber_.release(); }
  HeldReference(const HeldReference&) = delete;
  HeldReference& operator=(const HeldReference&) = delete;

 private:
  Fiber& fiber_;
};

// `queue_next` is the scheduler's: the race detector looks at programs, the model checker at us.
RAMIE_NO_TSAN inline void FiberList::push_back(Fiber& fiber) noexcept {
  fiber.queue_next = nullptr;
  if (tail_ == nullptr) head_ = &fiber;
  else tail_->queue_next = &fiber;
  tail_ = &fiber;
  ++size_;
}

RAMIE_NO_TSAN inline Fiber* FiberList::pop_front() noexcept {
  Fiber* first = head_;
  if (first == nullptr) return nullptr;
  head_ = first->queue_next;
  if (head_ == nullptr) tail_ = nullptr;
  --size_;
  return first;
}

RAMIE_NO_TSAN inline void FiberList::append(FiberList& other) noexcept {
  if (other.is_empty()) return;
  if (tail_ == nullptr) head_ = other.head_;
  else tail_->queue_next = other.head_;
  tail_ = other.tail_;
  size_ += other.size_;
  other.head_ = other.tail_ = nullptr;
  other.size_ = 0;
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
