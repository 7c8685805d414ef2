// A waiter lives where it waits: on the stack of the fiber (or thread) that parks, linked into the
// list of what it waits for. Waiting allocates nothing, and the waiter cannot outlive the call.
//
//   waiting side                             waking side
//   lock; link the Waiter; unlock            lock; unlink the Waiter; wakes.claim(waiter)  (F4, F5)
//   park()                                   unlock
//   lock; unlink if still linked; unlock     wakes.fire()                  (its last touch)
//
// The claim is made under the lock while the waiter is linked, so its owner cannot have left. After
// a won claim, a fiber that was PARKED belongs to the waker: nobody else can run it until fire()
// has queued it. So a fiber that was woken like this (FiberWord::was_woken) may skip the last lock:
// its waker has left the lock and has unlinked the waiter.
#pragma once

#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"
#include "sched/fiber_word.hpp"

#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::sched {

class Fiber;

// What can wait: a fiber, or a plain thread, which sleeps on its word as a futex.
class Sleeper {
 public:
  explicit Sleeper(bool is_thread) noexcept : is_thread_(is_thread) {}
  bool is_thread() const noexcept { return is_thread_; }
  // The edge "wake (or spawn) happens before resume", for the race detector. It is an address of
  // its own because the detector also counts what is released into `word`, which workers touch for
  // every fiber.
  const void* wake_edge() const noexcept { return &is_thread_; }

  FiberWord word;

 private:
  alignas(8) const bool is_thread_;
};

// A plain thread that waits. A claim while it sleeps makes it WOKEN, and it sleeps on until its
// waker has dropped the lock and started it. So it stays where it is while it is linked here.
class ThreadSleeper final : public Sleeper {
 public:
  ThreadSleeper() noexcept : Sleeper(true) { word.reset(); }
  ThreadSleeper* wake_next = nullptr;
};

struct Waiter : base::Link {
  Sleeper* sleeper = nullptr;
  std::uint32_t epoch = 0;
  base::Plain<std::uint32_t> mark = 0;  // what its waker left for it (WaitQueue::Mark)
  std::uint64_t amount = 0;             // what it asks for: permits, or the kinds of readiness
};

// A shutdown left its fiber behind (F6): its stack stays, and it never runs again.
bool is_left_behind(const Waiter& waiter) noexcept;

using WaiterList = base::List<Waiter>;

// A chain of fibers, linked through their control blocks. One thread owns it and every fiber in it.
class FiberList {
 public:
  FiberList() noexcept = default;
  FiberList(const FiberList&) = delete;
  FiberList& operator=(const FiberList&) = delete;

  bool is_empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  void push_back(Fiber& fiber) noexcept;
  Fiber* pop_front() noexcept;
  void append(FiberList& other) noexcept;

 private:
  Fiber* head_ = nullptr;
  Fiber* tail_ = nullptr;
  std::size_t size_ = 0;
};

// The sleepers whose waits were won under a lock, and that must be made runnable after it.
class WakeList {
 public:
  WakeList() noexcept = default;
  ~WakeList() { fire(); }
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;

  // Under the waiter's lock. True: the caller has ended the wait, and the waiter's owner will run.
  bool claim(Waiter& waiter) noexcept { return claim(*waiter.sleeper, waiter.epoch, 0); }
  bool claim(Sleeper& sleeper, std::uint32_t epoch, std::uint8_t by) noexcept;
  // Turns cancel bits on. The caller holds a reference, or a lock that keeps the fiber alive.
  void request(Sleeper& sleeper, std::uint64_t bits) noexcept;

  // Makes all of them runnable. The caller holds no lock of a waiter list.
  void fire() noexcept;

  FiberList& fibers() noexcept { return fibers_; }

 private:
  void add(Sleeper& sleeper) noexcept;

  FiberList fibers_;
  ThreadSleeper* threads_ = nullptr;
};

}  // namespace ramie::inline v0::sched
