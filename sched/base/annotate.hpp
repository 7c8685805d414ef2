// What the race detector and valgrind must be told. Empty in normal builds.
//
// RAMIE_TSAN_PRECISE is the mode that sees races between fibers. In it, switches do not
// synchronise, and neither do the scheduler's own atomics (TsanInternal). The only edges are those
// that a program may rely on: spawn -> first run, wake -> resume, end -> join, end -> end of the
// runtime, start of a worker -> the fibers on it. If switches synchronised, everything that one
// worker runs would look ordered, and nearly every race would stay unseen.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define RAMIE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RAMIE_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define RAMIE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RAMIE_ASAN 1
#endif
#endif

#if !defined(RAMIE_TSAN)
#define RAMIE_TSAN 0
#endif
#if !defined(RAMIE_ASAN)
#define RAMIE_ASAN 0
#endif
#if !defined(RAMIE_VALGRIND)
#define RAMIE_VALGRIND 0
#endif

#if RAMIE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if RAMIE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include <cstddef>

#if RAMIE_TSAN
#include <unistd.h>
#if defined(__clang__)
#define RAMIE_NO_TSAN __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#else
#define RAMIE_NO_TSAN __attribute__((no_sanitize_thread))
#endif
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
}
#else
#define RAMIE_NO_TSAN
#endif

namespace ramie::inline v0::base {

// The edges that programs may rely on.
inline void tsan_release([[maybe_unused]] const void* edge) noexcept {
#if RAMIE_TSAN
  __tsan_release(const_cast<void*>(edge));
#endif
}
inline void tsan_acquire([[maybe_unused]] const void* edge) noexcept {
#if RAMIE_TSAN
  __tsan_acquire(const_cast<void*>(edge));
#endif
}

// The detector holds signals back until the thread calls a function that the detector knows. So a
// thread that sleeps on a futex must wake up now and then.
inline constexpr long kTsanNap = RAMIE_TSAN != 0 ? 20'000'000 : -1;  // ns; -1: none is needed
inline void tsan_let_signals_in() noexcept {
#if RAMIE_TSAN
  (void)::usleep(0);
#endif
}

// A stack goes to its next fiber, so what the frames of the last one poisoned is plain memory
// again.
inline void asan_unpoison([[maybe_unused]] const void* low,
                          [[maybe_unused]] std::size_t bytes) noexcept {
#if RAMIE_ASAN
  __asan_unpoison_memory_region(low, bytes);
#endif
}

// The leak detector looks only at the stacks of threads. What a parked fiber points to is no leak.
inline void lsan_root_begin([[maybe_unused]] const void* low,
                            [[maybe_unused]] std::size_t bytes) noexcept {
#if RAMIE_ASAN
  __lsan_register_root_region(low, bytes);
#endif
}
inline void lsan_root_end([[maybe_unused]] const void* low,
                          [[maybe_unused]] std::size_t bytes) noexcept {
#if RAMIE_ASAN
  __lsan_unregister_root_region(low, bytes);
#endif
}

// Tells valgrind that the stack pointer may move there. Returns an id for unregistering the stack.
inline unsigned valgrind_stack_begin([[maybe_unused]] const void* low,
                                     [[maybe_unused]] const void* high) noexcept {
#if RAMIE_VALGRIND
  return VALGRIND_STACK_REGISTER(low, high);
#else
  return 0;
#endif
}
inline void valgrind_stack_end([[maybe_unused]] unsigned id) noexcept {
#if RAMIE_VALGRIND
  VALGRIND_STACK_DEREGISTER(id);
#endif
}

// While one lives, the detector sees neither our accesses nor our synchronisation. It is for
// scheduler internals, which the model checker proves instead. Without it, two fibers that merely
// spawned something would look ordered.
class TsanInternal {
 public:
#if RAMIE_TSAN
  TsanInternal() noexcept {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
  }
  ~TsanInternal() {
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  TsanInternal() noexcept {}
  ~TsanInternal() {}
#endif
  TsanInternal(const TsanInternal&) = delete;
  TsanInternal& operator=(const TsanInternal&) = delete;
};

// Inside a TsanInternal: the detector sees us again, for a call that leaves the scheduler's
// internals.
class TsanVisible {
 public:
#if RAMIE_TSAN
  TsanVisible() noexcept {
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  ~TsanVisible() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
  }
#else
  TsanVisible() noexcept {}
  ~TsanVisible() {}
#endif
  TsanVisible(const TsanVisible&) = delete;
  TsanVisible& operator=(const TsanVisible&) = delete;
};

}  // namespace ramie::inline v0::base
