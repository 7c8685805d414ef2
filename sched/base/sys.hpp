// The scheduler's system calls: memory, futex, thread attributes. Each is a noinline function that
// returns -errno and cannot suspend, so neither errno nor its address is ever cached across a
// switch. (Descriptors: io/sys.)
//
// Every call passes `inject`: a test may plug a plan in and make the nth call fail, move fewer
// bytes, or come late.
#pragma once

#include "sched/base/atomic.hpp"

#include <sys/types.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie {
inline namespace v0 {
namespace base {

// A test's plan: 0 lets the call through; -errno makes it fail; n > 0, only for calls that move
// bytes, lets it move at most n. Null in production: one load of a constant line.
using Injector = int (*)(const char* call) noexcept;
inline Atomic<Injector> sys_injector{nullptr};

inline int inject(const char* call) noexcept {
  Injector plan = sys_injector.load(kAcquire);
  return plan == nullptr ? 0 : plan(call);
}

// The same for a call that moves bytes: it shall ask for `bytes`, which a plan may lower. So a
// short transfer is a true one: the rest stays where it is, for the next call.
inline int inject(const char* call, std::size_t& bytes) noexcept {
  const int planned = inject(call);
  if (planned <= 0) [[likely]]
    return planned;
  bytes = std::min(bytes, static_cast<std::size_t>(planned));
  return 0;
}

namespace sys {

inline constexpr int kGuardInstall =
    102;  // MADV_GUARD_INSTALL, Linux 6.13; Debian 12's headers lack it

// Sleeps while `*word == expected`, at most `timeout` (negative: for ever). 0, -EAGAIN, -EINTR,
// -ETIMEDOUT.
int futex_wait(const void* word, std::uint32_t expected, std::chrono::nanoseconds timeout) noexcept;
// Wakes up to `count` sleepers; `word` is only an address and may be gone.
void futex_wake(const void* word, int count) noexcept;

// An anonymous private mapping; null on failure, with -errno in `error`.
void* map(std::size_t bytes, int& error) noexcept;
int unmap(void* address, std::size_t bytes) noexcept;
int advise(void* address, std::size_t bytes, int advice) noexcept;
int protect_none(void* address, std::size_t bytes) noexcept;
// Data that the program may read; and write, too.
int protect_data(void* address, std::size_t bytes, bool is_writable) noexcept;

// What errno `error` means, in English; needs no memory.
const char* describe_error(int error) noexcept;

int thread_id() noexcept;
// Sends a signal to a thread of this process.
int interrupt(int thread_id, int signal) noexcept;
// For signal handlers: as futex_wake, and errno stays what it was.
void futex_wake_from_handler(const void* word) noexcept;
// Reads the file's beginning; the bytes read, or -errno.
int read_file(const char* path, std::span<char> buffer) noexcept;
// Threads of this process that the kernel made for its io_uring; 0 if it does not say.
std::size_t kernel_io_threads() noexcept;
// Takes the kernel's 50 us timer slack off the calling thread.
void no_timer_slack() noexcept;
void name_thread(const char* name) noexcept;
// Best effort: the CPU may have been taken away since.
void pin_thread(std::span<const unsigned> cpus) noexcept;
void write_stderr(const char* text, std::size_t size) noexcept;
// In pieces that a pipe takes whole; ends when it takes none for so long.
void write_stderr_within(const char* text, std::size_t size, int milliseconds) noexcept;
// All signals, on the calling thread.
void block_signals() noexcept;
// One signal, on the calling thread, which may have inherited a mask that blocks it.
void unblock_signal(int number) noexcept;
// From now on `act` runs in each forked child, before fork() returns there. The child has none of
// our threads: what they counted or held in this process must be forgotten there.
void in_forked_child(void (*act)() noexcept) noexcept;
// The same with `before`, which runs before each fork(), and `after`, which then runs in the
// parent. For locks of the whole process: held over the fork, they come free, and what they guard
// whole, to both.
void around_forks(void (*before)() noexcept, void (*after)() noexcept,
                  void (*in_child)() noexcept) noexcept;
std::uint64_t random_seed() noexcept;

}  // namespace sys
}  // namespace base
}  // namespace v0
}  // namespace ramie
