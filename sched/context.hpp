// The switch between a worker's stack and a fiber's stack. This is the only file that knows
// Boost.Context, the C++ runtime's exception state and the sanitizers' fiber hooks.
//
//   worker   switch_in(thread, fiber) ----jump----> the fiber runs
//   fiber    switch_out(fiber)        ----jump----> back in switch_in; the fiber's registers are
//                                                   saved in `fiber.registers`
//
// A fiber may come back on another thread. Therefore:
// - The worker travels in the jump's argument, never in a thread-local.
// - The pointer to the thread's __cxa_eh_globals is fetched once per thread and lives in
//   ThreadContext. libstdc++ declares the accessor `const`, so compilers keep its result over a
//   switch and would restore into the wrong thread.
// - switch_out and the jump are one noinline function, because TSan's shadow stack demands it.
//
// Rejected: boost::context::fiber (saves no exception state before 1.88, and then collides with
// ours; runs code before ASan knows the new stack), own assembly (the raw jump is 4 % of a
// scheduled switch).
#pragma once

#include "sched/base/annotate.hpp"
#include "sched/base/atomic.hpp"
#include "sched/stack.hpp"

namespace ramie::inline v0::sched {

// The Itanium ABI's per-thread exception state. A fiber that parks inside a catch block keeps its
// own.
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

// A thread that runs fibers.
struct ThreadContext {
  void* registers = nullptr;  // of the worker's own stack, while a fiber runs
  ExceptionState exceptions;
  ExceptionState* live = nullptr;  // this thread's __cxa_eh_globals
#if RAMIE_ASAN
  const void* stack_low = nullptr;
  std::size_t stack_size = 0;
  void* fake_stack = nullptr;
#endif
#if RAMIE_TSAN
  void* tsan = nullptr;
#endif

  // Must be called on the thread itself, before its first switch_in.
  void attach() noexcept;
};

struct FiberContext {
  void* registers = nullptr;
  ExceptionState exceptions;
  ThreadContext* thread = nullptr;  // the one that runs it now
#if RAMIE_ASAN
  void* fake_stack = nullptr;
  base::Atomic<void*>* fake_stack_place = nullptr;  // after the end: for a later fiber
#endif
#if RAMIE_TSAN
  void* tsan = nullptr;
#endif

  // Puts a first frame on `stack`. The first switch_in calls `main(argument)`, which must not
  // throw.
  void prepare(Stack& stack, void (*main)(void*) noexcept, void* argument) noexcept;
  // Called after the last switch out, on a worker's stack.
  void release() noexcept;
  // For a fiber that is switched out: where its stack ends, and what unwind.cpp needs lies below.
  // Null if this version of Boost keeps registers in an unknown way.
  const void* saved_stack() const noexcept;

 private:
  friend void enter_first_frame(FiberContext&) noexcept;
  void (*main_)(void*) noexcept = nullptr;
  void* argument_ = nullptr;
};

// Worker -> fiber. Returns when the fiber switches out; its registers are saved by then.
void switch_in(ThreadContext& thread, FiberContext& fiber, const Stack& stack) noexcept;

// Fiber -> the worker that runs it. Returns when a worker switches in again, perhaps on another
// thread.
void switch_out(FiberContext& fiber) noexcept;

}  // namespace ramie::inline v0::sched
