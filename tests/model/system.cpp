// The operating system for the shipped code under the checker: the model's futexes and real memory.
// Failed checks end the run, not the program.
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/fork.hpp"

#include <sys/mman.h>
#include <cerrno>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace ramie::inline v0 {
namespace base {

void fatal(const char* format, ...) noexcept {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  model::Execution::current().fail(text);
}

void warn(const char*, ...) noexcept {}

namespace sys {

// `word` is the lower half of an Atomic, whose only member is the Location.
int futex_wait(const void* word, std::uint32_t expected,
               std::chrono::nanoseconds timeout) noexcept {
  model::Location& location = static_cast<const Atomic<std::uint64_t>*>(word)->location();
  (void)model::futex_wait(word, location, expected, timeout.count() >= 0, 0xffff'ffffU);
  return 0;
}

void futex_wake(const void* word, int count) noexcept { (void)model::futex_wake(word, count); }

void* map(std::size_t bytes, int& error) noexcept {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  error = 0;
  return memory == MAP_FAILED ? nullptr : memory;
}
int unmap(void* address, std::size_t bytes) noexcept { return ::munmap(address, bytes); }
// A guard can be installed, and then it is one.
int advise(void*, std::size_t, int advice) noexcept {
  return advice == kPopulateRead ? -EFAULT : 0;
}
int protect_none(void*, std::size_t) noexcept { return 0; }
std::size_t page_size() noexcept { return 4096; }
void name_thread(const char*) noexcept {}
void pin_thread(std::span<const unsigned>) noexcept {}
void write_stderr(const char*, std::size_t) noexcept {}
bool in_forked_child(void (*)() noexcept) noexcept { return true; }
int read_file(const char*, std::span<char>) noexcept { return 0; }
const char* describe_error(int) noexcept { return ""; }

}  // namespace sys
}  // namespace base

namespace sched {
std::uint32_t fork_number() noexcept { return 0; }
void refuse_copy() noexcept { std::abort(); }
}  // namespace sched
}  // namespace ramie::inline v0
