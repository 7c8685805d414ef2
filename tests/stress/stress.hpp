// Helpers for the stress programs: size, failures, measurements.
//
// STRESS_LONG=1 runs them at full size; otherwise they take seconds.
#pragma once

#include "sched/current.hpp"
#include "sched/scheduler.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/process.hpp"

#include <ramie/ramie.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace stress {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline bool is_long() {
  const char* value = std::getenv("STRESS_LONG");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

inline std::size_t scaled(std::size_t short_size, std::size_t long_size) {
  return is_long() ? long_size : short_size;
}

// The sanitizers keep freed memory for a while, so resident memory says little.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCountsMemory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kCountsMemory = false;
#else
inline constexpr bool kCountsMemory = true;
#endif
#else
inline constexpr bool kCountsMemory = true;
#endif

// A hang is a failure: SIGALRM ends the process.
inline void must_end_within(std::chrono::seconds limit) {
  (void)std::setvbuf(stdout, nullptr, _IONBF, 0);
  (void)::alarm(static_cast<unsigned>(limit.count()));
}

inline int failures = 0;

// The exit status is the result of a program. Each broken promise is a line.
[[gnu::format(printf, 2, 3)]] inline void check(bool holds, const char* promise, ...) {
  if (holds) return;
  ++failures;
  va_list arguments;
  va_start(arguments, promise);
  (void)std::fputs("FAILED: ", stdout);
  (void)std::vfprintf(stdout, promise, arguments);
  (void)std::fputc('\n', stdout);
  va_end(arguments);
}

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

inline double mebibytes(std::size_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

inline ramie::runtime::Runtime make_runtime(std::size_t workers, bool is_process_wide = false) {
  return ramie::or_throw(ramie_test::quiet_builder(workers).process_wide(is_process_wide).build());
}

// Checks that a runtime whose fibers have ended holds nothing of theirs.
inline void check_balance(const ramie::runtime::Runtime& runtime) {
  auto metrics = runtime.metrics();
  // A joined fiber may not have counted itself yet.
  for (int i = 0; i < 1000 && (metrics.spawned != metrics.finished || metrics.stacks != 0); ++i) {
    (void)::usleep(1000);
    metrics = runtime.metrics();
  }
  check(metrics.spawned == metrics.finished, "%lu fibers are alive",
        static_cast<unsigned long>(metrics.spawned - metrics.finished));
  check(metrics.stacks == 0, "%ld stacks are in use", static_cast<long>(metrics.stacks));
  check(metrics.timers == 0, "%lu timers are armed", static_cast<unsigned long>(metrics.timers));
  check(metrics.io_registered == metrics.io_deregistered, "%lu of %lu registrations are left",
        static_cast<unsigned long>(metrics.io_registered - metrics.io_deregistered),
        static_cast<unsigned long>(metrics.io_registered));
}

}  // namespace stress
