// What a Scheduler is made with. The runtime fills it in from its configuration;
// docs/environment.md says what each value does.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/pace.hpp"
#include "sched/stack.hpp"
#include "sched/watchdog.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ramie::inline v0::sched {

struct SchedulerOptions {
  std::size_t workers = 1;
  std::uint32_t event_interval = 61;  // picks between two looks at the driver
  std::uint32_t global_interval = 0;  // picks between two looks at the injector; 0: by load
  std::uint32_t budget = 128;         // operations of one run; 0: only time ends a run
  std::uint32_t lifo = 3;             // consecutive runs from the LIFO slot; 0: no slot
  base::Nanos watch{500'000};         // the longest sleep of the watcher; 0: no watcher
  base::Nanos spin{0};                // a worker polls for so long before it sleeps
  bool lazy_notify = true;            // readiness of a few fibers wakes no second worker
  std::uint64_t slice = base::cycles_in_slice();  // see pace.hpp

  std::uint64_t seed = 0;
  std::optional<std::uint64_t> chaos;  // see chaos.hpp
  StackOptions stacks;
  std::size_t blocking_threads = 512;
  base::Nanos blocking_keepalive{10'000'000'000};
  base::Nanos drain_timeout{30'000'000'000};  // how long Scope::drain() waits after its grace
  bool abort_on_unhandled = false;
  std::function<void()> on_thread_start;
  std::function<void()> on_thread_stop;
  std::function<void()> on_fibers_ended;  // in shutdown: ends what blocking jobs may wait for
  std::vector<unsigned> cpus;             // where each worker runs; empty: the kernel decides
  std::vector<unsigned> blocking_cpus;    // for the pool's threads, if the workers are pinned
  std::string thread_name = "ramie";
  WatchdogOptions watchdog;
  bool alternate_stacks = true;  // for signal handlers: a stack overflow can then be reported
  bool interrupts = true;        // SIGURG is ours, for the stacks of running fibers (probe.hpp)
};

}  // namespace ramie::inline v0::sched
