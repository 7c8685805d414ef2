// See registration_set.hpp.
#include "io/registration_set.hpp"

#include <mutex>
#include <new>

namespace ramie::inline v0::io {

Result<ScheduledIo*> RegistrationSet::allocate(Driver& driver, int fd) noexcept {
  const std::lock_guard lock(mutex_);
  if (is_shut_down_) return failure(errc::shutting_down);
  if (unused_ == nullptr) {
    try {
      Chunk chunk = std::make_unique<ScheduledIo[]>(kChunk);
      chunks_.push_back(std::move(chunk));
    } catch (const std::bad_alloc&) {
      return failure(std::make_error_code(std::errc::not_enough_memory));
    }
    for (std::size_t i = 0; i < kChunk; ++i) {
      chunks_.back()[i].next = unused_;
      unused_ = &chunks_.back()[i];
    }
  }
  ScheduledIo* io = unused_;
  unused_ = io->next;
  io->open(driver, fd);
  return io;
}

bool RegistrationSet::deregister(ScheduledIo& io) noexcept {
  io.close();
  const std::lock_guard lock(mutex_);
  io.next = pending_;
  pending_ = &io;
  return pending_size_.fetch_add(1, base::kRelaxed) + 1 == kNotifyAfter;
}

void RegistrationSet::remove(ScheduledIo& io) noexcept {
  const std::lock_guard lock(mutex_);
  io.next = unused_;
  unused_ = &io;
}

void RegistrationSet::release_pending() noexcept {
  if (pending_size_.load(base::kRelaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  while (pending_ != nullptr) {
    ScheduledIo* io = pending_;
    pending_ = io->next;
    io->next = unused_;
    unused_ = io;
  }
  pending_size_.store(0, base::kRelaxed);
}

void RegistrationSet::shut_down() noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_shut_down_ = true;
  }
  for (const Chunk& chunk : chunks_)
    for (std::size_t i = 0; i < kChunk; ++i) chunk[i].shut_down();
}

}  // namespace ramie::inline v0::io
