// Owns every ScheduledIo of one driver. Its memory only grows until the driver ends.
//
//     unused --allocate()--> registered --deregister()--> pending --release_pending()--> unused
//                            any thread                            the baton's holder, before
//                                                                  it polls (I5)
#pragma once

#include "io/scheduled_io.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace ramie::inline v0::io {

class RegistrationSet {
 public:
  RegistrationSet() = default;

  // Errors: shutting_down, not_enough_memory.
  Result<ScheduledIo*> allocate(Driver& driver, int fd) noexcept;
  // Returns true if many slots wait for their release: the driver should take a turn soon.
  [[nodiscard]] bool deregister(ScheduledIo& io) noexcept;
  // Gives back a slot that was never registered with the kernel.
  void remove(ScheduledIo& io) noexcept;
  void release_pending() noexcept;
  // Ends all waits, present and future.
  void shut_down() noexcept;

  std::size_t pending() const noexcept { return pending_size_.load(base::kRelaxed); }

 private:
  static constexpr std::size_t kChunk = base::kIsModel ? 1 : 64;
  static constexpr std::size_t kNotifyAfter = 16;
  using Chunk = std::unique_ptr<ScheduledIo[]>;

  base::Mutex mutex_;
  bool is_shut_down_ = false;
  ScheduledIo* unused_ = nullptr;
  ScheduledIo* pending_ = nullptr;
  base::Atomic<std::size_t> pending_size_{0};
  std::vector<Chunk> chunks_;
};

}  // namespace ramie::inline v0::io
