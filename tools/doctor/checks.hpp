// What the doctor looks at. Each check adds one finding, or a few; it reads only the Machine.
//
//   check_program   Ramie and its environment
//   check_kernel    what the kernel has: timers, guards, clock, ...
//   check_ring      io_uring and its operations
//   check_limits    CPUs, descriptors, threads, memory
//   check_debug     whether gdb and core files work
#pragma once

#include <vector>

#include "tools/doctor/finding.hpp"
#include "tools/doctor/machine.hpp"

namespace doctor {

void check_program(const Machine& machine, Report& report);
void check_kernel(const Machine& machine, Report& report);
void check_ring(const Machine& machine, Report& report);
void check_limits(const Machine& machine, Report& report);
void check_debug(const Machine& machine, Report& report);

/// All of them.
std::vector<Finding> examine(const Machine& machine);

}  // namespace doctor
