// Addresses of code as text for people: functions, and lines if the program has debug information.
// Slow the first time (it reads the program's file) and takes memory that it keeps: for reports
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace base {

struct Place {
  std::string function;  // demangled; empty if unknown
  std::string file;      // as the compiler saw it; empty if unknown
  int line = 0;

  std::string text() const;  // "function at file:line" (without folders), "program+0x1234"
};

// A demangled name for people: without the type that a template returns, and if it is long without
// template arguments, then without parameters. At most `most` bytes (plus three for dots).
std::string shorten(std::string_view function, std::size_t most = 80);

// The innermost inlined function first, the one that it was inlined into after it. Never empty.
std::vector<Place> places_of(std::uintptr_t address);

}  // namespace base
}  // namespace v0
}  // namespace ramie
