// See scheduled_io.hpp.
#include "io/scheduled_io.hpp"

#include <mutex>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace io {

namespace {
// x86-64 user addresses fit into 47 bits; the upper 16 of a token are the generation.
constexpr unsigned kGenerationShift = 48;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kGenerationShift) - 1;
}  // namespace

void ScheduledIo::open(Driver& driver) noexcept {
  driver_ = &driver;
  // First the generation: who sees the new state sees that it is another registration's.
  const int step = RAMIE_MUTANT(272) ? 0 : 1;
  generation_.store(static_cast<std::uint16_t>(generation() + step), base::kRelaxed);
  set_reads_by_ring(false);
  set_drained(false);
  state_.reset();
}

std::uint64_t ScheduledIo::token() const noexcept {
  return reinterpret_cast<std::uintptr_t>(this) | (std::uint64_t{generation()} << kGenerationShift);
}

ScheduledIo* ScheduledIo::from_token(std::uint64_t token, std::uint16_t& generation) noexcept {
  generation = static_cast<std::uint16_t>(token >> kGenerationShift);
  return reinterpret_cast<ScheduledIo*>(token & kAddressMask);
}

void ScheduledIo::publish(std::uint8_t ready, sched::WakeList& wakes) noexcept {
  if (!RAMIE_MUTANT(278)) state_.publish(ready);
  take_waiters(ready, wakes);
  if (RAMIE_MUTANT(278)) state_.publish(ready);
}

void ScheduledIo::shut_down() noexcept {
  state_.shut_down();
  sched::WakeList wakes;
  if (RAMIE_MUTANT(280)) return;
  take_waiters(IoState::kReadyMask, wakes);
  // The read stays linked until it has ended: its descriptor must not be closed before.
  const std::lock_guard lock(mutex_);
  if (ring_read_ != nullptr) ring_read_->give_up(*ring_read_);
}

void ScheduledIo::go() noexcept {
  state_.go();
  sched::WakeList wakes;
  if (RAMIE_MUTANT(274)) return;
  take_waiters(IoState::kReadyMask, wakes);
  const std::lock_guard lock(mutex_);  // the slot's next owner finds none
  if (RingRead* read = std::exchange(ring_read_, nullptr)) read->give_up(*read);
}

bool ScheduledIo::leave(int fd) noexcept {
  if (!RAMIE_MUTANT(403)) state_.go();
  const std::lock_guard lock(mutex_);
  RingRead* read = std::exchange(ring_read_, nullptr);
  if (read == nullptr) return false;
  if (!RAMIE_MUTANT(402)) read->descriptor = fd;
  read->give_up(*read);
  return !RAMIE_MUTANT(401);
}

Result<void> ScheduledIo::begin(RingRead& read, std::uint16_t generation) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_still(RAMIE_MUTANT(406) ? this->generation() : generation))
    return failure(errc::canceled);
  if (state_.load().is_shut_down()) return failure(errc::shutting_down);
  if (ring_read_ != nullptr) return failure(errc::already_waiting);
  ring_read_ = &read;
  return {};
}

// The slot may have its next owner by now.
void ScheduledIo::end(RingRead& read) noexcept {
  const std::lock_guard lock(mutex_);
  if (ring_read_ == &read) ring_read_ = nullptr;
}

void ScheduledIo::take_waiters(std::uint8_t ready, sched::WakeList& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  for (sched::Waiter* waiter = waiters_.front(); waiter != nullptr;) {
    sched::Waiter* following = waiters_.next(*waiter);
    if ((waiter->amount & ready) != 0) {
      waiters_.erase(*waiter);
      (void)wakes.claim(*waiter);
    }
    waiter = following;
  }
}

bool ScheduledIo::has_waiter(std::uint8_t mask) noexcept {
  for (sched::Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.next(*waiter))
    if ((waiter->amount & mask) != 0) return true;
  return false;
}

Result<IoState::Snapshot> ScheduledIo::wait(Interest interest, sched::WaitKind kind,
                                            Sharing sharing) noexcept {
  const std::uint8_t mask = Ready::mask_of(interest);
  sched::Wait wait(kind, this);
  // Who was woken by the end may run when the slot has its next owner: GONE is off by then.
  const std::uint16_t own_generation = generation();
  IoState::Snapshot now;
  const auto is_gone = [&] { return now.is_gone() || generation() != own_generation; };
  for (;;) {
    now = state_.load();
    bool is_taken = false;
    const auto is_over = [&] {
      if (!RAMIE_MUTANT(277)) now = state_.load();  // I6
      if ((now.ready() & mask) != 0 || now.is_shut_down() || is_gone()) return true;
      is_taken = sharing == Sharing::one_waiter && has_waiter(mask);
      return is_taken;
    };
    if (auto waited = wait.run(mutex_, waiters_, is_over, mask); !waited)
      return failure(waited.error());
    if (is_taken) return failure(errc::already_waiting);
    now = state_.load();
    if (is_gone()) return failure(errc::canceled);
    if (now.is_shut_down()) return failure(errc::shutting_down);
    if ((now.ready() & mask) != 0) return now;
  }
}

}  // namespace io
}  // namespace v0
}  // namespace ramie
