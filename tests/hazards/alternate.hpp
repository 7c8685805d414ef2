// Two threads run one fiber in turn. Each switch out of the fiber ends on one thread, and the fiber
// continues on the other. There is no pool and no timing: whatever a compiler keeps over the switch
// is stale every time.
//
//     thread 1   switch_in ............. wait ................ switch_in ...
//     fiber              1st part  hop()          2nd part  hop()
//     thread 2   wait .................. switch_in ........... wait
#pragma once

#include "sched/context.hpp"
#include "sched/stack.hpp"

#include <pthread.h>
#include <boost/context/detail/fcontext.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace hazards {

namespace sched = ramie::sched;
namespace fcontext = boost::context::detail;

// --- our switch

inline sched::FiberContext fiber;

// Not noinline on purpose: the compiler should see the caller and the switch as one function.
inline void hop() { sched::switch_out(fiber); }

// --- the naive switch: only the raw jump

inline fcontext::fcontext_t raw_fiber;
inline fcontext::fcontext_t raw_thread;

inline void raw_hop() {
  const fcontext::transfer_t back = fcontext::jump_fcontext(raw_thread, nullptr);
  raw_thread = back.fctx;
}

// --- reports: the runner counts these lines

inline bool is_over = false;

inline void report(const char* who, const char* what, bool ok) {
  std::printf("%s %s %s\n", who, ok ? "ok" : "STALE", what);
}

inline sched::Stack& new_stack() {
  static sched::StackPool& pool = *new sched::StackPool({});
  int error = 0;
  sched::Stack* stack = pool.take(0, error);
  if (stack == nullptr) std::abort();
  return *stack;
}

// Runs `step()` alternately on thread 1 and thread 2, after `setup(number)` on each, until is_over.
template <class Setup, class Step>
void alternate(Setup setup, Step step) {
  is_over = false;
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, nullptr, 2);
  const auto run = [&](int number) {
    setup(number);
    for (int turn = 1;; ++turn) {
      errno = 1000 + number;  // as left by other work of this thread
      pthread_barrier_wait(&barrier);
      if ((turn % 2 == 1) == (number == 1) && !is_over) step();
      pthread_barrier_wait(&barrier);
      if (is_over) return;
    }
  };
  std::thread first(run, 1);
  std::thread second(run, 2);
  first.join();
  second.join();
  pthread_barrier_destroy(&barrier);
}

// Runs `body` in one of our fibers.
template <class Setup>
void alternate_ours(void (*body)(), Setup setup) {
  static void (*run_body)();
  run_body = body;
  static thread_local sched::ThreadContext thread;
  sched::Stack& stack = new_stack();
  fiber.prepare(stack, +[](void*) noexcept { run_body(), is_over = true; }, nullptr);
  alternate([&](int number) { thread.attach(), setup(number); },
            [&] { sched::switch_in(thread, fiber, stack); });
  fiber.release();
}

// Runs `body` in a naive fiber.
template <class Setup>
void alternate_raw(void (*body)(), Setup setup) {
  static void (*run_body)();
  run_body = body;
  sched::Stack& stack = new_stack();
  raw_fiber = fcontext::make_fcontext(
      stack.top(), stack.usable(), +[](fcontext::transfer_t from) {
        raw_thread = from.fctx;
        run_body();
        is_over = true;
        raw_hop();
      });
  alternate(setup, [] { raw_fiber = fcontext::jump_fcontext(raw_fiber, nullptr).fctx; });
}

}  // namespace hazards
