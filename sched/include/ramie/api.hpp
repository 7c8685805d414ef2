// What every public header includes first: the standard that they need, and what the library
// exports. Everything is hidden unless it says RAMIE_API.
#pragma once

// An #include of nothing ends the compilation, so that what is missing is the only message.
#if __cplusplus < 202100L
#error "Ramie needs C++23: compile with -std=c++23, as pkg-config --cflags ramie says"
#include <compile with -std=c++23>
#endif

#include <version>
#ifndef __cpp_lib_expected
#error "Ramie needs std::expected: GCC 12 or newer, or Clang 19 or newer with its libstdc++"
#include <a newer compiler>
#endif

#define RAMIE_API __attribute__((visibility("default")))
