// A fiber's control block: words, links, timer entry, name, small closure and result.
//
// Blocks come from a type-stable slab (fiber_slab.hpp). They are reused, and freed only with the
// runtime. The epoch in `word` only grows, so a late wake-up finds a block, never garbage. Whoever
// touches a block without owning the fiber holds a reference: the run (from spawn to end), the
// JoinHandle, a canceller.
//
// Who owns which fields:
//   woken    its waker, until the fiber is in a queue; then that queue: `queue_next`
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

namespace ramie::inline v0::sched {

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

// Why a fiber switched out. Its worker acts on it.
enum class SwitchReason : std::uint8_t { parking, yielding, ended };

// Identifies a fiber in messages that may be printed after its end.
struct FiberIdentity {
  static constexpr std::size_t kNameBytes = 32;
  using Name = std::array<char, kNameBytes>;  // ends with a zero

  std::uint64_t id = 0;
  Name name{};
  const void* spawned_at = nullptr;
};

class Fiber final : public Sleeper, public base::Link {  // the Link is for the children of a Scope
 public:
  Fiber() noexcept : Sleeper(false) {}

  static constexpr std::size_t kNameBytes = FiberIdentity::kNameBytes;

  // --- identity, written by the spawner
  std::uint64_t id = 0;
  const void* spawned_at = nullptr;
  char name[kNameBytes] = {};
  Scheduler* scheduler = nullptr;

  // --- scheduling
  Fiber* queue_next = nullptr;
  Fiber* queue_prev = nullptr;  // used, and not null, only in the blocking pool's queue
  Worker* home = nullptr;       // pinned there
  base::Atomic<Worker*> worker{
      nullptr};  // that runs it now; the fiber reads it after each resume and never keeps it
  FiberContext context;
  Stack* stack = nullptr;  // attached at the first run, detached at the end
  // The stack's lower end: each switch checks it, and the Stack is far away in memory.
  std::uintptr_t stack_low = 0;
  std::size_t stack_size = 0;
  base::Atomic<SwitchReason> switch_reason{SwitchReason::parking};
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
  static constexpr std::uint8_t kJoiners = 2;  // a joiner has stood in the queue
  // Its runtime ends without it, and joins return that.
  static constexpr std::uint8_t kLeftBehind = 4;
  static constexpr std::uint8_t kRoot = 8;  // of a block_on()
  base::Atomic<std::uint8_t> join_flags{0};
  base::Mutex join_mutex;
  WaiterList joiners;
  base::Atomic<std::uint32_t> references{0};

  alignas(16) std::byte storage[detail::kTaskStorage];

  bool has_ended() const noexcept { return (join_flags.load(base::kAcquire) & kEnded) != 0; }
  bool is_left_behind() const noexcept {
    return (join_flags.load(base::kAcquire) & kLeftBehind) != 0;
  }
  // Called when the runtime ends without this fiber. Joins return runtime_gone, those that wait now
  // and later ones. If the fiber ends all the same, later joins find its result.
  void leave_behind() noexcept;
  using Name = FiberIdentity::Name;
  void set_name(std::string_view text) noexcept;
  std::string_view view_name() const noexcept { return name; }  // for the fiber itself
  // For other threads. If the fiber changes its name meanwhile, the copy may be a mix of both.
  Name copy_name() const noexcept;
  FiberIdentity identity() const noexcept { return {id, copy_name(), spawned_at}; }

  void retain() noexcept { references.fetch_add(1, base::kRelaxed); }
  // For a walk of the registry, which finds the block without owning a reference.
  bool try_retain() noexcept;
  void release() noexcept;

  // A result that nobody takes is destroyed by the task that left it or by whoever drops the
  // handle, whichever comes second. Both may wait in its destructor. True: the caller is the
  // second.
  static constexpr std::uint8_t kLeft = 1;
  static constexpr std::uint8_t kUnwanted = 2;
  [[nodiscard]] bool hand_over(std::uint8_t flag) noexcept {
    return result_flags.fetch_or(flag, base::kAcqRel) != 0;
  }

  // The edge "end happens before join, and before the block's next fiber".
  const void* end_edge() const noexcept { return &id; }
};

// Releases a reference that the caller already has.
class HeldReference {
 public:
  explicit HeldReference(Fiber& fiber) noexcept : fiber_(fiber) {}
  ~HeldReference() { fiber_.release(); }
  HeldReference(const HeldReference&) = delete;
  HeldReference& operator=(const HeldReference&) = delete;

 private:
  Fiber& fiber_;
};

// The race detector does not look at `queue_next`: it belongs to the scheduler, which the model
// checker proves.
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

}  // namespace ramie::inline v0::sched
