// For destructors: a sequence of calls that is made in any case.
#pragma once

#include "runtime/fs/calls.hpp"

#include <ramie/cancel.hpp>

#include <exception>

namespace ramie {
inline namespace v0 {
namespace fs {

// Makes `sequence(Calls&)`, a Result<void>, in the pool, whatever cancels this fiber; here if the
// pool takes no job any more. What the calls say is lost.
template <class Sequence>
void clean_up(Sequence&& sequence) noexcept {
  try {
    const Shield shield;
    const Result<void> done = run_blocking(sequence);
    if (done) return;
    const bool is_of_a_call = done.error().category() == std::system_category() &&
                              done.error() != std::errc::resource_unavailable_try_again;
    if (is_of_a_call) return;
    Calls calls(Place::here);
    (void)sequence(calls);
  } catch (const std::exception&) {  // there is no memory to clean up with
  }
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
