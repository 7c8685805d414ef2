// A stack overflow in a fiber says so: which fiber, how large its stack is; then the default action
// (a core).
//
// The SIGSEGV handler runs on an alternate stack, one for each worker thread, and hands every fault
// that is not ours to whoever was installed before (a sanitizer, a JVM).
#pragma once

namespace ramie {
inline namespace v0 {
namespace sched {

// Process-wide, once.
void install_overflow_reporter() noexcept;

// Gives the calling thread an alternate signal stack, unless it has one.
class AlternateStack {
 public:
  AlternateStack() noexcept = default;
  ~AlternateStack();
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

  // True: the thread has one now.
  [[nodiscard]] bool install() noexcept;

 private:
  void* memory_ = nullptr;
};

}  // namespace sched
}  // namespace v0
}  // namespace ramie
