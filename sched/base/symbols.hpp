// Code addresses as text for people: functions, and lines if the program has debug information. The
// first call is slow, since it reads the program's file, and the memory is kept. For reports only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ramie::inline v0::base {

struct Place {
  std::string function;  // demangled; empty if unknown
  std::string file;      // as the compiler saw it; empty if unknown
  int line = 0;

  std::string text() const;  // "function at file:line" (without folders), "program+0x1234"
};

// A demangled name for people, without the type that a template returns. If it is long, template
// arguments are left out, then parameters. At most `most` bytes, plus three for dots.
std::string shorten(std::string_view function, std::size_t most = 80);

// The innermost inlined function comes first, then the one that it was inlined into. Never empty.
std::vector<Place> places_of(std::uintptr_t address);

}  // namespace ramie::inline v0::base
