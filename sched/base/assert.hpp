// Two kinds of checks. RAMIE_CHECK is for mistakes of callers. It stays in release builds, and
// stops the program with a message that says which fiber, what was seen and the likely cause.
// RAMIE_ASSERT is for our own mistakes, in debug builds.
#pragma once

#include <ramie/api.hpp>

namespace ramie::inline v0::base {

// Prints `ramie: fatal: <message>` with the current fiber's id and name, then aborts.
[[noreturn, gnu::cold, gnu::format(printf, 1, 2)]] RAMIE_API void fatal(const char* format,
                                                                        ...) noexcept;

// Prints `ramie: <message>`.
[[gnu::cold, gnu::format(printf, 1, 2)]] void warn(const char* format, ...) noexcept;

// A function that writes ", fiber 812 'conn'" into `text` if the caller is a fiber. The layer that
// knows fibers sets it.
using Describe = int (*)(char* text, int size) noexcept;
void set_describe(Describe describe) noexcept;

}  // namespace ramie::inline v0::base

#define RAMIE_CHECK(condition, ...)      \
  do {                                   \
    if (!(condition)) [[unlikely]]       \
      ::ramie::base::fatal(__VA_ARGS__); \
  } while (false)

#if !defined(RAMIE_ASSERTIONS)
#define RAMIE_ASSERTIONS 0
#endif

#if defined(RAMIE_MODEL)
#define RAMIE_ASSERT(condition) ::ramie::model::check((condition), #condition)
#elif RAMIE_ASSERTIONS
#define RAMIE_ASSERT(condition) \
  RAMIE_CHECK(condition, "%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition)
#else
#define RAMIE_ASSERT(condition) ((void)sizeof(condition))
#endif
