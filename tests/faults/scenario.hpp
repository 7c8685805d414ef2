// A small server's whole life in a few milliseconds, for tests that make something fail in it: a
// runtime, signals, a listener and its clients, timers, blocking jobs, files, directories,
// cancellation, a crowd of fibers, and the end. It goes on after errors as a program would, and
// notes them.
#pragma once

#include "tests/faults/findings.hpp"

#include <unistd.h>
#include <cstddef>
#include <string>

namespace faults {

// One address, 127.0.0.1, by getaddrinfo() and on every machine: it reads no file for such a name,
// and the library does not take it for a number.
inline const std::string kName = "127.1";

struct Scenario {
  std::size_t workers = 2;
  std::size_t shards = 1;  // epoll instances
  std::size_t clients = 4;
  std::size_t crowd = 300;      // fibers that live at a time: their stacks are mapped
  bool is_process_wide = true;  // signals
  bool is_pinned = false;       // workers, to CPUs
  bool looks_names_up = true;
  bool writes_to_nobody = false;     // to a pipe without a reader: an error, and no SIGPIPE
  void (*once_started)() = nullptr;  // in a fiber, when files have been used
  pid_t self = ::getpid();           // of before it may be denied: kill(-1) strikes everybody
};

// Returns when nothing of it is left but what `findings` calls wrong.
void run(const Scenario& scenario, Findings& findings) noexcept;

// The first listener of a process keeps a descriptor in reserve, which a shortage may cost: opens
// it (again), so that descriptors can be compared. A process that came without its standard
// descriptors has them afterwards, too.
void open_reserve() noexcept;

}  // namespace faults
