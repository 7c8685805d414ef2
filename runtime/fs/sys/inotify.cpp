// See inotify.hpp.
#include "runtime/fs/sys/inotify.hpp"

#include "io/sys/outcome.hpp"
#include "sched/base/sys.hpp"

#include <sys/inotify.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace ramie::inline v0::fs::sys {

using io::sys::outcome;

namespace {}  // namespace

[[gnu::noinline]] Count open_watcher() noexcept {
  if (int planned = base::inject("inotify_init1"); planned != 0) return planned;
  return outcome(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

[[gnu::noinline]] Count add_watch(int fd, const char* path, std::uint32_t events) noexcept {
  if (int planned = base::inject("inotify_add_watch"); planned != 0) return planned;
  return outcome(::inotify_add_watch(fd, path, events));
}

[[gnu::noinline]] Count remove_watch(int fd, int watch) noexcept {
  if (int planned = base::inject("inotify_rm_watch"); planned != 0) return planned;
  return outcome(::inotify_rm_watch(fd, watch));
}

[[gnu::noinline]] Count read_events(int fd, std::span<std::byte> buffer) noexcept {
  if (int planned = base::inject("read_inotify"); planned != 0) return planned;
  return outcome(::read(fd, buffer.data(), buffer.size()));
}

RawEvent event_at(std::span<const std::byte> buffer) noexcept {
  inotify_event head;
  std::memcpy(&head, buffer.data(), sizeof head);
  RawEvent event{head.wd, head.mask, head.cookie, {}, sizeof head + head.len};
  const auto name = buffer.subspan(sizeof head, head.len);
  const std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  event.name = text.substr(0, text.find('\0'));
  return event;
}

}  // namespace ramie::inline v0::fs::sys
