// Tests exceptions over switches: a fiber that parks in a catch block or while it unwinds keeps its
// own exception state on every thread, and no other fiber sees it.
#include "tests/hazards/alternate.hpp"

#include "sched/base/assert.cpp"
#include "sched/base/sys.cpp"
#include "sched/context.cpp"
#include "sched/stack.cpp"

#include <exception>
#include <stdexcept>
#include <string>

namespace {

using namespace hazards;

std::string current() {
  const std::exception_ptr caught = std::current_exception();
  if (!caught) return "";
  try {
    std::rethrow_exception(caught);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "?";
  }
}

template <void (*Hop)()>
std::string rethrown() {
  try {
    throw;
  } catch (const std::exception& e) {
    Hop();
    return e.what();
  } catch (...) {
    return "?";
  }
}

// --- on two threads: park in a catch block, in a nested one, in a destructor that unwinds
//   ---------

template <void (*Hop)()>
struct ParksInDestructor {
  explicit ParksInDestructor(int& seen) : seen_(seen) {}
  ~ParksInDestructor() {
    Hop();
    seen_ = std::uncaught_exceptions();
  }
  int& seen_;
};

template <void (*Hop)()>
void migrate(const char* who) {
  try {
    throw std::runtime_error("outer");
  } catch (const std::exception&) {
    Hop();
    report(who, "current_exception after a migration in catch", current() == "outer");
    try {
      throw std::logic_error("inner");
    } catch (const std::exception&) {
      Hop();
      report(who, "current_exception in a nested catch", current() == "inner");
    }
    Hop();
    report(who, "the outer one after the inner one", current() == "outer");
    report(who, "throw; after a migration", rethrown<Hop>() == "outer");
  }
  report(who, "nothing is left after the handlers",
         !std::current_exception() && std::uncaught_exceptions() == 0);
  int seen = -1;
  try {
    const ParksInDestructor<Hop> parks(seen);
    throw std::runtime_error("unwinds");
  } catch (const std::exception& e) {
    report(who, "unwinding goes on after a migration", std::string(e.what()) == "unwinds");
  }
  report(who, "uncaught_exceptions in a destructor that parked", seen == 1);
  report(who, "nothing is left at the end",
         !std::current_exception() && std::uncaught_exceptions() == 0);
}

void ours_migrates() { migrate<hop>("ours"); }

// Without our exchange of the state a caught exception belongs to the thread. Only cases that
// cannot crash are tried here.
void naive_migrates() {
  try {
    throw std::runtime_error("mine");
  } catch (const std::exception&) {
    raw_hop();
    report("naive", "current_exception after a migration in catch", current() == "mine");
    raw_hop();
  }
}

// --- on one thread: two fibers that never see each other's exceptions ----------------------------

sched::FiberContext first_fiber;
sched::FiberContext second_fiber;
bool has_ended[2];

void first_body(void*) noexcept {
  try {
    throw std::runtime_error("first");
  } catch (const std::exception&) {
    sched::switch_out(first_fiber);
    report("ours", "own exception while the other is in its catch", current() == "first");
    sched::switch_out(first_fiber);
    report("ours", "own exception after the other left its catch", current() == "first");
  }
  has_ended[0] = true;
}

void second_body(void*) noexcept {
  report("ours", "a sibling sees no foreign exception",
         !std::current_exception() && std::uncaught_exceptions() == 0);
  try {
    throw std::logic_error("second");
  } catch (const std::exception&) {
    sched::switch_out(second_fiber);
    report("ours", "the sibling keeps its own", current() == "second");
  }
  has_ended[1] = true;
}

void two_fibers() {
  sched::ThreadContext thread;
  thread.attach();
  sched::Stack& first_stack = new_stack();
  sched::Stack& second_stack = new_stack();
  first_fiber.prepare(first_stack, first_body, nullptr);
  second_fiber.prepare(second_stack, second_body, nullptr);
  try {
    throw std::runtime_error("the worker's own");
  } catch (const std::exception&) {
    while (!has_ended[0] || !has_ended[1]) {
      if (!has_ended[0]) sched::switch_in(thread, first_fiber, first_stack);
      if (!has_ended[1]) sched::switch_in(thread, second_fiber, second_stack);
    }
    report("ours", "the worker keeps its own", current() == "the worker's own");
  }
  report("ours", "the worker is clean afterwards", !std::current_exception());
  first_fiber.release();
  second_fiber.release();
}

}  // namespace

int main() {
  (void)std::setvbuf(stdout, nullptr, _IONBF, 0);
  const auto nothing = [](int) {};
  alternate_ours(ours_migrates, nothing);
  two_fibers();
  alternate_raw(naive_migrates, nothing);
  std::printf("end\n");
  return 0;
}
