// Redirects calls of a shared library's function in a running program: writes another address into
// the tables (GOT) through which the objects of the process call each other. For debugging aids
// that are turned on explicitly.
#pragma once

#include <cstddef>
#include <span>

namespace ramie::inline v0::base {

struct Redirection {
  const char* name;
  void* to;  // null: leave it
};

// Returns how many places were redirected. Objects that are loaded later keep the old function, and
// so does the C library itself.
std::size_t redirect_calls(std::span<const Redirection> all) noexcept;

}  // namespace ramie::inline v0::base
