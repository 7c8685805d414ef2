// Reports a stack overflow in a fiber: which fiber, and how large its stack is. Then the default
// action follows (a core).
//
// The SIGSEGV handler runs on an alternate stack, one for each worker thread. It passes every fault
// that is not a fiber's overflow to the handler that was installed before (a sanitizer's, a JVM's).
#pragma once

namespace ramie::inline v0::sched {

// For the whole process. Later calls do nothing.
void install_stack_overflow_reporter() noexcept;

// Gives the calling thread an alternate signal stack, unless it has one.
class AlternateStack {
 public:
  AlternateStack() noexcept = default;
  ~AlternateStack();
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

  // Returns whether the thread has one now.
  [[nodiscard]] bool install() noexcept;

 private:
  void* memory_ = nullptr;
};

}  // namespace ramie::inline v0::sched
