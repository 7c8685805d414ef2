// The plug for signal and uring: something with a descriptor of its own that the driver watches.
#pragma once

#include "sched/waiter.hpp"

namespace ramie {
inline namespace v0 {
namespace io {

class Extension {
 public:
  virtual ~Extension() = default;

  // The descriptor is readable: drain it, it may be edge-triggered. Fibers that can go on are
  // added to `wakes`.
  virtual void on_ready(sched::WakeList& wakes) noexcept = 0;
  // The runtime ends: every wait of this extension ends with `shutting_down`.
  virtual void shut_down() noexcept = 0;
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
