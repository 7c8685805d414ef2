// The program may run under a detector of races or memory errors that this build of the library
// does not support. Then switches of fibers look like errors, or errors are not seen.
#pragma once

namespace ramie::inline v0::sched {

enum class Detector { none, tsan, asan, valgrind };

// The detector that watches this process and that the library was not built for.
Detector unknown_detector() noexcept;
// Prints one line on stderr about it, once in a process.
void hint_at_detector() noexcept;
const char* hint_of(Detector detector) noexcept;

}  // namespace ramie::inline v0::sched
