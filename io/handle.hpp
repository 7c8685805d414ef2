// The runtime's entry to the reactor: registers descriptors with one of its shards.
#pragma once

#include "io/driver.hpp"
#include "sched/env.hpp"

#include <memory>
#include <string>
#include <vector>

namespace ramie::inline v0::io {

// For dumps: "descriptor 7", or an empty text if the wait does not belong to this layer.
std::string describe_wait(sched::WaitKind kind, const void* object);

class Handle : public sched::EnvPart {
 public:
  static constexpr Place kPlace = Place::readiness;

  // Errors: those of epoll_create1 and eventfd.
  static Result<std::unique_ptr<Handle>> create(std::size_t shards) noexcept;

  // That of the current runtime, or null.
  static Handle* current() noexcept;

  Result<ScheduledIo*> add_source(int fd, Interest interest) noexcept;
  static Result<void> deregister_source(ScheduledIo& io) noexcept;
  Result<void> add_extension(Extension& extension, int fd) noexcept;
  void unpark() noexcept;
  void shut_down() noexcept;

  std::size_t shards() const noexcept { return drivers_.size(); }
  Driver& driver(std::size_t shard) noexcept { return *drivers_[shard]; }
  std::vector<sched::Driver*> as_shards() const;

 private:
  Handle() = default;

  std::vector<Driver::Owner> drivers_;
  base::Atomic<std::uint32_t> next_{0};
};

}  // namespace ramie::inline v0::io
