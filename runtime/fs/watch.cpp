// Watcher: reads inotify when it is ready, many events at a time; each next() returns one. The
// waiting fiber reads with one system call. A cancel before it loses nothing; after it the events
// are in the buffer.
#include "io/operation.hpp"
#include "io/sys/fd.hpp"
#include "runtime/fs/calls.hpp"
#include "runtime/fs/path.hpp"
#include "runtime/fs/sys/inotify.hpp"

#include <ramie/fs/watch.hpp>
#include <ramie/io.hpp>

#include <sys/inotify.h>
#include <array>
#include <cstddef>
#include <span>

namespace ramie::inline v0::fs {

namespace {

using io::not_open;

struct Pair {
  Change change;
  std::uint32_t mask;
};
// IN_DELETE_SELF and IN_UNMOUNT are not reported: the kernel's IN_IGNORED follows them.
constexpr Pair kPairs[] = {
    {Change::created, IN_CREATE},        {Change::removed, IN_DELETE},
    {Change::moved_from, IN_MOVED_FROM}, {Change::moved_to, IN_MOVED_TO},
    {Change::modified, IN_MODIFY},       {Change::written, IN_CLOSE_WRITE},
    {Change::attributes, IN_ATTRIB},     {Change::moved, IN_MOVE_SELF},
    {Change::gone, IN_IGNORED},          {Change::overflow, IN_Q_OVERFLOW},
};

std::uint32_t mask_of(Change changes) noexcept {
  std::uint32_t mask = 0;
  for (const Pair& pair : kPairs)
    if (has(changes, pair.change) && has(Change::all, pair.change)) mask |= pair.mask;
  return mask;
}

// For one event; the kernel sets one of these bits.
const Pair* pair_of(std::uint32_t mask) noexcept {
  for (const Pair& pair : kPairs)
    if ((mask & pair.mask) != 0) return &pair;
  return nullptr;
}

}  // namespace

struct Watcher::State {
  io::sys::UniqueFd fd;
  io::Registration registration;  // ends before the descriptor
  std::size_t begin = 0;
  std::size_t end = 0;
  std::array<std::byte, 16384> buffer;
};

Watcher::Watcher() noexcept = default;
Watcher::Watcher(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Watcher::Watcher(Watcher&& other) noexcept = default;
Watcher& Watcher::operator=(Watcher&& other) noexcept = default;
Watcher::~Watcher() = default;

Result<Watcher> Watcher::create() {
  auto state = std::make_unique<State>();
  const Count fd = sys::open_watcher();
  if (fd < 0) return failure(io::system_error(fd));
  state->fd.reset(static_cast<int>(fd));
  auto registration = io::Registration::create(state->fd.get(), io::Interest::readable);
  if (!registration) return failure(registration.error());
  state->registration = std::move(*registration);
  return Watcher(std::move(state));
}

// Runs in the pool, because the kernel may read directories from a disk.
Result<WatchId> Watcher::add(PathRef path, Change changes) {
  if (!state_) return not_open();
  const KernelPath text(path);
  if (text.error()) return failure(text.error());
  const std::uint32_t mask = mask_of(changes);
  if (mask == 0) return failure(std::make_error_code(std::errc::invalid_argument));
  return run_blocking([&](Calls& calls) -> Result<WatchId> {
    const Count watch =
        calls.perform([&] { return sys::add_watch(state_->fd.get(), text.c_str(), mask); });
    if (watch < 0) return failure(calls.code(watch));
    return WatchId{static_cast<int>(watch)};
  });
}

Result<void> Watcher::remove(WatchId watch) noexcept {
  if (!state_) return not_open();
  const Count rc = sys::remove_watch(state_->fd.get(), watch.value);
  if (rc < 0) return failure(io::system_error(rc));
  return {};
}

Result<WatchEvent> Watcher::next() {
  if (!state_) return not_open();
  State& state = *state_;
  for (;;) {
    if (state.begin == state.end) {
      const io::Operation reading{.io = io::ScheduledIo::of(state.registration),
                                  .interest = io::Interest::readable,
                                  .kind = sched::WaitKind::readable};
      const auto call = [&](std::size_t&) {
        return sys::read_events(state.fd.get(), state.buffer);
      };
      const auto n = io::run(reading, state.buffer.size(), call);
      if (!n) return failure(n.error());
      state.begin = 0;
      state.end = *n;
      continue;
    }
    const sys::RawEvent raw =
        sys::event_at(std::span(state.buffer).first(state.end).subspan(state.begin));
    const Pair* pair = pair_of(raw.mask);
    WatchEvent event;
    if (pair != nullptr)
      event = {pair->change, WatchId{raw.watch}, std::string(raw.name), raw.cookie,
               (raw.mask & IN_ISDIR) != 0};
    state.begin += raw.size;
    if (pair != nullptr) return event;
  }
}

}  // namespace ramie::inline v0::fs
