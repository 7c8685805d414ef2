// The program may run under a detector of races or memory errors that this build of the library
// says nothing to: then switches of fibers look like errors, or errors are not seen.
#pragma once

namespace ramie {
inline namespace v0 {
namespace sched {

enum class Detector { none, tsan, asan, valgrind };

// The one that watches this process and that the library was not built for.
Detector unknown_detector() noexcept;
// One line on stderr about it, once a process.
void hint_at_detector() noexcept;
const char* hint_of(Detector detector) noexcept;

}  // namespace sched
}  // namespace v0
}  // namespace ramie
