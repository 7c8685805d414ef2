// Builds with assertions refuse to park a fiber that holds a std::mutex (any pthread_mutex_t) or
// stands in the initialiser of a function-local static: the next fiber that wants it would block
// its whole worker, and the owner may come back on another thread. The message has both stacks,
// where it was taken and where the fiber parks.
//
// The C library's and the C++ runtime's functions are interposed and call the real ones. Release
// builds have nothing of this, and neither have sanitized ones, which interpose these themselves.
#pragma once

#include "sched/base/annotate.hpp"
#include "sched/unwind.hpp"

#if RAMIE_ASSERTIONS && !RAMIE_ASAN && !RAMIE_TSAN && !defined(RAMIE_MODEL)
#define RAMIE_HOLD_CHECK 1
#else
#define RAMIE_HOLD_CHECK 0
#endif

namespace ramie {
inline namespace v0 {
namespace sched {

class Fiber;

#if RAMIE_HOLD_CHECK

// What a fiber holds. Of several things only the last is described.
class Holds {
 public:
  void take(const char* what) noexcept;
  void give_back() noexcept {
    if (count_ != 0) --count_;  // else another fiber's, or taken before the fiber began
  }
  void reset() noexcept { count_ = 0; }
  void refuse_if_any(const Fiber& fiber, const char* act) const noexcept;

 private:
  unsigned count_ = 0;
  const char* what_ = nullptr;
  Frames taken_at_;
};

#else

class Holds {
 public:
  void reset() noexcept {}
  void refuse_if_any(const Fiber&, const char*) const noexcept {}
};

#endif

}  // namespace sched
}  // namespace v0
}  // namespace ramie
