// The system calls of inotify, in the form of file.hpp.
#pragma once

#include "runtime/fs/sys/file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ramie::inline v0::fs::sys {

Count open_watcher() noexcept;  // non-blocking
Count add_watch(int fd, const char* path, std::uint32_t events) noexcept;
Count remove_watch(int fd, int watch) noexcept;
Count read_events(int fd, std::span<std::byte> buffer) noexcept;

struct RawEvent {
  int watch;
  std::uint32_t mask;  // IN_*
  std::uint32_t cookie;
  std::string_view name;
  std::size_t size;  // of the event in the buffer
};
RawEvent event_at(std::span<const std::byte> buffer) noexcept;

}  // namespace ramie::inline v0::fs::sys
