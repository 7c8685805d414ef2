// A shard of the reactor: one epoll, one eventfd, one set of registrations. The worker that holds
// the shard's baton takes turns.
//
//     turn:  release pending registrations (I5) -> wait -> publish the whole batch
//
// Tokens: 0 is the eventfd, 1..15 are extensions, every other value is a ScheduledIo with its
// generation. The driver collects the fibers that its events wake; the worker queues them in one
// place.
#pragma once

#include "io/extension.hpp"
#include "io/metrics.hpp"
#include "io/registration_set.hpp"
#include "io/sys/epoll.hpp"
#include "sched/driver.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace ramie::inline v0::io {

class Driver final : public sched::Driver {
 public:
  static constexpr std::size_t kMaxEvents = 256;
  static constexpr std::size_t kMaxExtensions = 15;

  // Sockets may outlive the runtime. So a driver ends when its runtime has retired it and the last
  // registration is gone.
  struct Retire {
    void operator()(Driver* driver) const noexcept { driver->retire(); }
  };
  using Owner = std::unique_ptr<Driver, Retire>;

  static Result<Owner> create() noexcept;

  // --- the holder of the baton
  void turn(base::Nanos max_wait, sched::FiberList& out) noexcept override;

  // --- any thread
  void unpark() noexcept override;
  int poll_fd() const noexcept override { return poller_.fd(); }
  // Ends every wait with `shutting_down`, now and later.
  void shut_down() noexcept;
  Result<ScheduledIo*> add_source(int fd, Interest interest) noexcept;
  Result<void> deregister_source(ScheduledIo& io) noexcept;
  // Call this before the workers start. `extension` is told when `fd` is readable.
  Result<void> add_extension(Extension& extension, int fd) noexcept;

  const DriverMetrics& metrics() const noexcept { return metrics_; }

 private:
  explicit Driver(sys::Poller poller) : poller_(std::move(poller)) {
    events_.reserve(kMaxEvents);  // a turn must not allocate
  }

  void forget(ScheduledIo& io) noexcept;
  void retire() noexcept;
  void drop_reference() noexcept;
  void survive(int error) noexcept;
  void dispatch(const sys::Event& event, sched::WakeList& wakes) noexcept;

  sys::Poller poller_;
  RegistrationSet registrations_;
  std::vector<sys::Event> events_;
  std::array<Extension*, kMaxExtensions + 1> extensions_{};
  std::size_t extension_count_ = 0;
  bool has_failed_ = false;
  base::Atomic<std::uint64_t> references_{1};  // the runtime's, and one for each registration
  DriverMetrics metrics_;
};

}  // namespace ramie::inline v0::io
