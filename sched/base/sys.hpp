// The scheduler's system calls: memory, futex, thread attributes. Each is a noinline function that
// returns -errno and cannot suspend, so neither errno nor its address is cached across a switch.
// (System calls on descriptors are in io/sys.)
//
// Every call passes `inject`: a test can install a plan that makes the nth call fail, move fewer
// bytes, or come late.
#pragma once

#include "sched/base/atomic.hpp"

#include <sys/types.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie::inline v0::base {

// A test's plan for a call. 0 lets the call through; -errno makes it fail; n > 0, only for calls
// that move bytes, lets it move at most n. Null in production, where it costs one load of a cache
// line that nobody writes.
using FaultPlan = int (*)(const char* call) noexcept;
inline Atomic<FaultPlan> fault_plan{nullptr};

inline int inject(const char* call) noexcept {
  FaultPlan plan = fault_plan.load(kAcquire);
  return plan == nullptr ? 0 : plan(call);
}

// The same for a call that moves bytes. A plan may lower `bytes`, the number that the call asks
// for. So a short transfer is a real one: the rest stays where it is, for the next call.
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

inline constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14

// Sleeps while `*word == expected`, at most `timeout` (negative: for ever). Returns 0, -EAGAIN,
// -EINTR or -ETIMEDOUT.
int futex_wait(const void* word, std::uint32_t expected, std::chrono::nanoseconds timeout) noexcept;
// Wakes up to `count` sleepers. `word` is only an address; the object there may be gone.
void futex_wake(const void* word, int count) noexcept;

// 4 KiB on x86-64; 4, 16 or 64 KiB on AArch64, as the kernel was built.
std::size_t page_size() noexcept;

// An anonymous private mapping, or null with -errno in `error`.
void* map(std::size_t bytes, int& error) noexcept;
int unmap(void* address, std::size_t bytes) noexcept;
int advise(void* address, std::size_t bytes, int advice) noexcept;
int protect_none(void* address, std::size_t bytes) noexcept;
// May the program read this memory? And write it, too?
int protect_data(void* address, std::size_t bytes, bool is_writable) noexcept;

// What errno `error` means, in English. Needs no memory.
const char* describe_error(int error) noexcept;

int thread_id() noexcept;
// Sends a signal to a thread of this process.
int interrupt(int thread_id, int signal) noexcept;
// The same as futex_wake, for signal handlers: it restores errno.
void futex_wake_from_handler(const void* word) noexcept;
// Reads the beginning of the file. Returns the number of bytes read, or -errno.
int read_file(const char* path, std::span<char> buffer) noexcept;
// The number of threads of this process that the kernel made for io_uring; 0 if it does not say.
std::size_t kernel_io_threads() noexcept;
// Removes the kernel's timer slack of 50 us from the calling thread.
void no_timer_slack() noexcept;
void name_thread(const char* name) noexcept;
// Best effort: the CPU may have been taken away meanwhile.
void pin_thread(std::span<const unsigned> cpus) noexcept;
void write_stderr(const char* text, std::size_t size) noexcept;
// Writes in pieces that a pipe takes whole. Ends when it has taken none for `milliseconds`.
void write_stderr_within(const char* text, std::size_t size, int milliseconds) noexcept;
// Blocks all signals on the calling thread.
void block_signals() noexcept;
// Unblocks one signal on the calling thread, which may have inherited a mask that blocks it.
void unblock_signal(int number) noexcept;
// From now on `act` runs in each forked child, before fork() returns there. The child has none of
// our threads, so what they counted or held must be forgotten there. Returns whether `act` was
// registered, so that a static object can register it.
bool in_forked_child(void (*act)() noexcept) noexcept;
// The same with `before`, which runs before each fork(), and `after`, which then runs in the
// parent. For process-wide locks: they are held over the fork, so both processes get them free, and
// what they guard is consistent.
void around_forks(void (*before)() noexcept, void (*after)() noexcept,
                  void (*in_child)() noexcept) noexcept;
std::uint64_t random_seed() noexcept;

}  // namespace sys
}  // namespace ramie::inline v0::base
