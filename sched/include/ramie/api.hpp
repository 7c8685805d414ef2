// Every public header includes this first. It checks the language standard that the headers need,
// and defines what the library exports: only what says RAMIE_API.
#pragma once

// An #include without a name ends the compilation, so the message below is the only one.
#if __cplusplus < 202100L
#error "Ramie needs C++23: compile with -std=c++23, as pkg-config --cflags ramie says"
#include <compile with -std=c++23>
#endif

// The exception of a fiber reaches the fiber that joins it.
#ifndef __cpp_exceptions
#error "Ramie needs exceptions: compile without -fno-exceptions"
#include <compile without -fno-exceptions>
#endif

#include <version>
#ifndef __cpp_lib_expected
#error "Ramie needs std::expected: GCC 12 or newer, or Clang 19 or newer with its libstdc++"
#include <a newer compiler>
#endif

#define RAMIE_API __attribute__((visibility("default")))
