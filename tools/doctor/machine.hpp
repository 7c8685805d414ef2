// Everything that the doctor knows about a machine. this_machine() asks the real one, with the
// probes of the library; a test writes down any other.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "runtime/cgroup.hpp"
#include "runtime/config.hpp"
#include "sched/stack.hpp"
#include "uring/ring.hpp"

namespace doctor {

/// How this program was built.
struct Build {
  std::string version;
  std::string compiler;
  bool has_assertions = false;
};

/// What the kernel said when a worker's ring was made.
struct RingAnswer {
  std::error_code refusal{};  // none: it works
  ramie::uring::RingMode mode = ramie::uring::RingMode::plain;
  std::size_t completions = 0;  // room for so many
  ramie::uring::Ring::Opcodes opcodes{};
};

/// What a pool said when it was asked for one stack.
struct StackAnswer {
  std::error_code refusal{};
  ramie::sched::GuardMethod guard = ramie::sched::GuardMethod::automatic;
  bool may_be_huge = false;  // the kernel may put huge pages into a stack of an unusual size
};

struct Machine {
  Build build;
  ramie::runtime::EnvResult environment;
  ramie::runtime::FileReader read;  // of /proc and /sys
  std::string kernel;               // as `uname -r` prints it
  unsigned cpus = 1;                // in the affinity mask
  RingAnswer ring;
  StackAnswer stack;
  std::optional<bool> has_fine_timeouts;  // nothing: epoll is denied
  std::error_code membarrier;             // none: it works
  std::chrono::nanoseconds clock{};       // the cost of one reading
};

/// Asks the kernel. It builds no runtime, so it starts no thread.
Machine this_machine(std::string_view version);

}  // namespace doctor
