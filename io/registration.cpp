// The library's side of Registration, and the names of Ready's bits.
#include "io/handle.hpp"
#include "io/operation.hpp"
#include "sched/current.hpp"

#include <ramie/io.hpp>

namespace ramie::inline v0::io {

std::string Ready::to_string() const {
  static constexpr const char* kNames[] = {"READABLE",     "WRITABLE", "READ_CLOSED",
                                           "WRITE_CLOSED", "PRIORITY", "ERROR"};
  std::string text;
  for (unsigned i = 0; i < std::size(kNames); ++i) {
    if ((bits_ >> i & 1U) == 0) continue;
    if (!text.empty()) text += " | ";
    text += kNames[i];
  }
  return text.empty() ? "(empty)" : text;
}

Result<Registration> Registration::create(int fd, Interest interest) noexcept {
  Handle* handle = Handle::current();
  if (handle == nullptr) return failure(errc::no_runtime);
  auto shared = handle->add_source(fd, interest);
  if (!shared) return failure(shared.error());
  return Registration(*shared);
}

Result<void> Registration::deregister() noexcept {
  if (shared_ == nullptr) return {};
  return Handle::deregister_source(*std::exchange(shared_, nullptr));
}

int Registration::fd() const noexcept { return shared_ == nullptr ? -1 : shared_->fd(); }

Result<Ready> Registration::readiness(Interest interest) noexcept {
  auto taken = guard(interest);
  if (!taken) return failure(taken.error());
  return taken->ready();
}

Result<ReadyGuard> Registration::guard(Interest interest) noexcept {
  if (shared_ == nullptr) return not_open();
  ScheduledIo& shared = *shared_;
  auto level = shared.wait_for_level(interest, sched::WaitKind::io, ScheduledIo::Sharing::any);
  if (!level) return failure(level.error());
  return ReadyGuard(shared, level->seen.word, interest, level->ready);
}

// Not noexcept: the user's operation may throw.
Result<void> Registration::repeat(Interest interest, bool (*is_done)(void* context),
                                  void* context) {
  if (shared_ == nullptr) return not_open();
  const Operation operation{.io = *shared_,
                            .interest = interest,
                            .kind = sched::WaitKind::io,
                            .sharing = ScheduledIo::Sharing::any,
                            .start = Start::with_call};
  const auto call = [&](std::size_t&) -> Bytes { return is_done(context) ? 0 : -EAGAIN; };
  if (auto done = run(operation, 0, call); !done) return failure(done.error());
  return {};
}

std::uint64_t Registration::snapshot() const noexcept { return shared_->state().load().word; }

void Registration::clear(std::uint64_t seen, Interest interest) noexcept {
  shared_->state().clear(IoState::noted_for(interest), IoState::Snapshot{seen});
}

bool Registration::has_any(std::uint64_t seen, Interest interest) noexcept {
  return (IoState::Snapshot{seen}.ready() & IoState::waited_for(interest)) != 0;
}

void ReadyGuard::clear() noexcept {
  if (ScheduledIo* shared = std::exchange(shared_, nullptr))
    shared->state().clear(IoState::noted_for(interest_), IoState::Snapshot{seen_});
}

// The news has been reported. The kernel reports again what is still there.
void ReadyGuard::spend() noexcept {
  if (ScheduledIo* shared = std::exchange(shared_, nullptr))
    shared->state().clear(IoState::news_for(interest_), IoState::Snapshot{seen_});
}

}  // namespace ramie::inline v0::io
