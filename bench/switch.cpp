// The raw switch: worker -> fiber -> worker, without a scheduler. Everything else costs more.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include "sched/context.hpp"
#include "sched/stack.hpp"

#include <cstdio>

namespace {

using namespace ramie::sched;

struct Echo {
  FiberContext context;
  bool is_over = false;
};

void switch_back_for_ever(void* argument) noexcept {
  Echo& echo = *static_cast<Echo*>(argument);
  while (!echo.is_over) switch_out(echo.context);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 1;
  bench::Options("switch: ns for one switch into a fiber and back")
      .real("--seconds", seconds, 0.01, 60, "how long to measure")
      .parse(argc, argv);
  StackPool stacks(StackOptions{});
  int error = 0;
  Stack* const stack = stacks.take(0, error);
  if (stack == nullptr) {
    (void)std::fprintf(stderr, "switch: no stack: error %d\n", -error);
    return 1;
  }
  ThreadContext thread;
  thread.attach();
  Echo echo;
  echo.context.prepare(*stack, &switch_back_for_ever, &echo);
  bench::Line line("switch");
  const bench::Cost round_trip = bench::measure(seconds, [&](std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) switch_in(thread, echo.context, *stack);
  });
  echo.is_over = true;
  switch_in(thread, echo.context, *stack);
  echo.context.release();
  stacks.give_back(stack);
  round_trip.add_to(line, "round_trip");
  line.print();
  return 0;
}
