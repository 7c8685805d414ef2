// Starts a thread, through the tests' plan: std::thread makes the system call itself.
#pragma once

#include "sched/base/sys.hpp"

#include <system_error>
#include <thread>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace base {

// Throws std::system_error if no thread can be had, std::bad_alloc without memory.
template <class F>
std::thread start_thread(F&& body) {
  if (int planned = inject("clone"); planned != 0)
    throw std::system_error(-planned, std::generic_category());
  return std::thread(std::forward<F>(body));
}

}  // namespace base
}  // namespace v0
}  // namespace ramie
