// See scheduled_io.hpp.
#include "io/scheduled_io.hpp"

#include "io/sys/epoll.hpp"

#include <cerrno>
#include <mutex>
#include <utility>

namespace ramie::inline v0::io {

namespace {
// x86-64 user addresses fit into 47 bits. The upper 16 bits of a token are the generation.
constexpr unsigned kGenerationShift = 48;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kGenerationShift) - 1;
}  // namespace

void ScheduledIo::open(Driver& driver, int fd) noexcept {
  driver_ = &driver;
  fd_.store(fd, base::kRelaxed);
  is_drained_by_short_.store(false, base::kRelaxed);
  // Store the generation before the state: a reader that sees the new state then sees it too.
  generation_.store(static_cast<std::uint16_t>(generation() + 1), base::kRelaxed);
  state_.reset();
}

std::uint64_t ScheduledIo::token() const noexcept {
  return reinterpret_cast<std::uintptr_t>(this) | (std::uint64_t{generation()} << kGenerationShift);
}

ScheduledIo* ScheduledIo::from_token(std::uint64_t token, std::uint16_t& generation) noexcept {
  generation = static_cast<std::uint16_t>(token >> kGenerationShift);
  return reinterpret_cast<ScheduledIo*>(token & kAddressMask);
}

void ScheduledIo::publish(IoState::Bits ready, sched::WakeList& wakes) noexcept {
  state_.publish(ready);
  take_waiters(ready, wakes);
}

void ScheduledIo::shut_down() noexcept {
  state_.shut_down();
  sched::WakeList wakes;
  take_waiters(IoState::kReadyMask, wakes);
  permit_.close();  // a fiber that is left behind never releases it
}

void ScheduledIo::close() noexcept {
  state_.close();
  sched::WakeList wakes;
  take_waiters(IoState::kReadyMask, wakes);
}

void ScheduledIo::take_waiters(IoState::Bits ready, sched::WakeList& wakes) noexcept {
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

bool ScheduledIo::has_waiter(IoState::Bits mask) noexcept {
  for (sched::Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.next(*waiter))
    if ((waiter->amount & mask) != 0) return true;
  return false;
}

Result<IoState::Snapshot> ScheduledIo::wait(sched::Wait& wait, Interest interest, Sharing sharing,
                                            std::uint16_t generation) noexcept {
  const IoState::Bits mask = IoState::waited_for(interest);
  // A waiter that close() has woken may run after the slot is reused, when GONE is clear again.
  IoState::Snapshot now;
  const auto is_gone = [&] { return now.is_gone() || this->generation() != generation; };
  for (;;) {
    now = state_.load();
    bool is_taken = false;
    const auto is_over = [&] {
      now = state_.load();  // I6
      if ((now.ready() & mask) != 0 || now.is_shut_down() || is_gone()) return true;
      is_taken = sharing == Sharing::one_waiter && has_waiter(mask);
      return is_taken;
    };
    if (auto waited = wait.run_entered(mutex_, waiters_, is_over, mask); !waited)
      return failure(waited.error());
    if (is_taken) return failure(errc::already_waiting);
    now = state_.load();
    if (is_gone()) return failure(errc::canceled);
    if (now.is_shut_down()) return failure(errc::shutting_down);
    if ((now.ready() & mask) != 0) return now;
  }
}

Result<IoState::Snapshot> ScheduledIo::wait(Interest interest, sched::WaitKind kind,
                                            Sharing sharing) noexcept {
  const std::uint16_t generation = this->generation();
  sched::Wait wait(kind, this);
  if (auto entered = wait.enter(); !entered) return failure(entered.error());
  return this->wait(wait, interest, sharing, generation);
}

Result<void> ScheduledIo::take_permit(sched::Wait& wait, std::uint16_t generation) noexcept {
  if (auto taken = permit_.acquire(wait, 1); !taken)
    return failure(taken.error() == errc::closed ? errc::shutting_down : taken.error());
  if (is_still(generation)) return {};
  release_permit();
  return failure(errc::canceled);
}

namespace {
// The bits in the user's terms.
Ready as_ready(IoState::Bits bits, Interest interest) noexcept {
  if ((bits & IoState::kPriorityClosed) != 0) bits |= IoState::kReadClosed;
  return Ready(static_cast<std::uint8_t>(bits & Ready::kAll)).masked_by(interest);
}
}  // namespace

Result<ScheduledIo::Level> ScheduledIo::wait_for_level(Interest interest, sched::WaitKind kind,
                                                       Sharing sharing) noexcept {
  const IoState::Bits mask = IoState::waited_for(interest);
  const std::uint16_t generation = this->generation();
  const int fd = this->fd();
  sched::Wait wait(kind, this);
  for (;;) {
    if (auto entered = wait.enter(); !entered) return failure(entered.error());
    const bool is_remembered = (state_.load().ready() & mask) != 0;
    const auto seen = this->wait(wait, interest, sharing, generation);
    if (!seen) return failure(seen.error());
    const auto heard = static_cast<IoState::Bits>(seen->ready() & mask);
    const bool is_news = (seen->ready() & IoState::news_for(interest)) != 0;
    const int level = is_remembered ? sys::level_of(fd, interest) : heard;
    if (level == -EBADF) return failure(std::make_error_code(std::errc::bad_file_descriptor));
    // If the kernel cannot be asked, trust what we remember.
    const unsigned there = level < 0 ? heard : static_cast<unsigned>(level) & mask;
    const auto ready = static_cast<IoState::Bits>(is_news ? there | heard : there);
    if (ready != 0) return Level{*seen, as_ready(ready, interest)};
    state_.clear(IoState::noted_for(interest), *seen);
  }
}

}  // namespace ramie::inline v0::io
