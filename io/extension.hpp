// The interface for a driver extension (signal/): an object whose descriptor the driver watches.
#pragma once

#include "sched/waiter.hpp"

namespace ramie::inline v0::io {

class Extension {
 public:
  virtual ~Extension() = default;

  // The descriptor is readable. Drain it, because it may be edge-triggered. Add the fibers that can
  // go on to `wakes`.
  virtual void on_ready(sched::WakeList& wakes) noexcept = 0;
  // The runtime ends: end every wait of this extension with `shutting_down`.
  virtual void shut_down() noexcept = 0;
};

}  // namespace ramie::inline v0::io
