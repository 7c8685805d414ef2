// Makes the calls of a shared library's function lead elsewhere, in a program that runs: writes
// another address into the tables (GOT) through which the objects of the process call each other.
// For debugging aids that somebody has asked for.
#pragma once

#include <cstddef>
#include <span>

namespace ramie {
inline namespace v0 {
namespace base {

struct Redirection {
  const char* name;
  void* to;  // null: leave it
};

// Returns how many places lead there now. Objects that are loaded later keep the old function, and
// so does the C library in itself.
std::size_t redirect_calls(std::span<const Redirection> all) noexcept;

}  // namespace base
}  // namespace v0
}  // namespace ramie
