// For destructors: runs a sequence of calls in any case.
#pragma once

#include "runtime/fs/calls.hpp"

#include <ramie/cancel.hpp>

#include <exception>

namespace ramie::inline v0::fs {

// Runs `sequence(Calls&)`, which returns a Result<void>, in the pool, even if this fiber was
// cancelled. Runs it here if the pool takes no more jobs. Drops its errors.
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
  } catch (const std::exception&) {  // no memory for the clean-up
  }
}

}  // namespace ramie::inline v0::fs
