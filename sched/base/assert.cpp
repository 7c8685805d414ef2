// See assert.hpp. Messages are built in a buffer on the stack and written at once, so they work
// without memory.
#include "sched/base/assert.hpp"

#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace ramie::inline v0::base {

namespace {

Atomic<Describe> describe_caller{nullptr};

class Line {
 public:
  void add(const char* format, va_list arguments) noexcept {
    take(std::vsnprintf(text_ + used_, room(), format, arguments));
  }
  void add(const char* text) noexcept { take(std::snprintf(text_ + used_, room(), "%s", text)); }
  void add_caller() noexcept {
    if (Describe describe = describe_caller.load(kAcquire); describe != nullptr)
      take(describe(text_ + used_, static_cast<int>(room())));
  }
  void print() noexcept {
    text_[used_] = '\n';
    sys::write_stderr(text_, used_ + 1);
  }

 private:
  std::size_t room() const noexcept { return sizeof text_ - 1 - used_; }
  void take(int written) noexcept {
    if (written > 0) used_ += std::min(static_cast<std::size_t>(written), room() - 1);
  }

  char text_[1024];
  std::size_t used_ = 0;
};

}  // namespace

void set_describe(Describe describe) noexcept { describe_caller.store(describe, kRelease); }

void fatal(const char* format, ...) noexcept {
  Line line;
  line.add("ramie: fatal: ");
  va_list arguments;
  va_start(arguments, format);
  line.add(format, arguments);
  va_end(arguments);
  line.add_caller();
  line.print();
  std::abort();
}

void warn(const char* format, ...) noexcept {
  Line line;
  line.add("ramie: ");
  va_list arguments;
  va_start(arguments, format);
  line.add(format, arguments);
  va_end(arguments);
  line.print();
}

}  // namespace ramie::inline v0::base
