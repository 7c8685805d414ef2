// The life of a small server in a few milliseconds, for tests that make something fail in it: a
// runtime, signals, a listener and its clients, timers, blocking jobs, files, directories,
// cancellation, many fibers, and the end. It continues after errors as a program would, and notes
// them.
#pragma once

#include "tests/faults/findings.hpp"

#include <unistd.h>
#include <cstddef>
#include <string>

namespace faults {

// Resolves to one address, 127.0.0.1, by getaddrinfo() and on every machine. getaddrinfo() reads no
// file for such a name, and the library does not take it for a number.
inline const std::string kName = "127.1";

struct Scenario {
  std::size_t workers = 2;
  std::size_t shards = 1;  // epoll instances
  std::size_t clients = 4;
  std::size_t crowd = 300;      // fibers that live at the same time, so their stacks are mapped
  bool is_process_wide = true;  // with signals
  bool is_pinned = false;       // workers are pinned to CPUs
  bool looks_names_up = true;
  bool writes_to_nobody = false;     // to a pipe without a reader: an error, no SIGPIPE
  void (*once_started)() = nullptr;  // called in a fiber after files were used
  pid_t self = ::getpid();           // read early: getpid may be denied, and kill(-1) hits all
};

// Returns when nothing of it is left, or `findings` notes what is.
void run(const Scenario& scenario, Findings& findings) noexcept;

// The first listener of a process keeps a descriptor in reserve, and a shortage may use it up. This
// opens it (again), so that tests can compare descriptors. Afterwards a process that was started
// without its standard descriptors has them too.
void open_reserve() noexcept;

}  // namespace faults
