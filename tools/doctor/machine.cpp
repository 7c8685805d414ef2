// See machine.hpp.
#include "tools/doctor/machine.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

#include "io/sys/epoll.hpp"
#include "runtime/cpus.hpp"
#include "sched/base/clock.hpp"
#include "tools/doctor/proc.hpp"
#include "uring/driver.hpp"

namespace doctor {
namespace {

namespace runtime = ramie::runtime;
namespace sched = ramie::sched;
namespace uring = ramie::uring;

std::error_code code_of(int error) { return {error, std::system_category()}; }

std::string compiler() {
#if defined(__clang__)
  return __VERSION__;  // "Debian Clang 19.1.7"
#else
  return "GCC " __VERSION__;
#endif
}

std::string kernel_release() {
  utsname names{};
  return ::uname(&names) == 0 ? names.release : "";
}

RingAnswer ask_for_ring(const runtime::Config& config) {
  uring::RingOptions options;
  options.entries = config.uring_entries;
  options.mode = static_cast<uring::RingMode>(config.uring_mode);
  const auto tried = uring::make_tried_ring(options);
  if (!tried) return {.refusal = tried.error()};
  const uring::Ring& ring = *tried->ring;
  return {.refusal = {},
          .mode = ring.mode(),
          .completions = ring.completions(),
          .opcodes = ring.opcodes()};
}

StackAnswer ask_for_stacks(const runtime::Config& config) {
  sched::StackOptions options;
  options.size = config.stack_size;
  options.guard = static_cast<sched::GuardMethod>(config.stack_guard);
  sched::StackPool pool(options);
  StackAnswer answer;
  int error = 0;
  sched::Stack* usual = pool.take(0, error);
  if (usual == nullptr) {
    answer.refusal = code_of(-error);
    return answer;
  }
  answer.guard = pool.guard_method();
  pool.give_back(usual);
  constexpr std::size_t kLarge = std::size_t{5} << 20;  // room for a huge page of 2 MiB
  if (sched::Stack* large = pool.take(kLarge, error)) {
    answer.may_be_huge =
        may_have_huge_pages(&runtime::read_file, reinterpret_cast<std::uintptr_t>(large->low()));
    pool.give_back(large);
  }
  return answer;
}

std::optional<bool> ask_for_timeouts() {
  auto poller = ramie::io::sys::Poller::create(1);
  if (!poller) return std::nullopt;
  std::vector<ramie::io::sys::Event> events;
  if (poller->wait(std::chrono::nanoseconds(1), events) != 0) return std::nullopt;
  return poller->has_fine_timeouts();
}

std::error_code ask_for_membarrier() {
  for (const int command :
       {MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED})
    if (::syscall(SYS_membarrier, command, 0, 0) != 0) return code_of(errno);
  return {};
}

// Other programs may use the CPU meanwhile, so the best of some rounds counts.
std::chrono::nanoseconds clock_cost() {
  constexpr int kRounds = 20;
  constexpr int kReadings = 200;
  auto best = std::chrono::nanoseconds::max();
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = ramie::base::now();
    auto end = begin;
    for (int i = 0; i < kReadings; ++i) end = ramie::base::now();
    best = std::min(best, std::chrono::nanoseconds(end - begin) / kReadings);
  }
  return best;
}

}  // namespace

Machine this_machine(std::string_view version) {
  Machine machine;
  machine.build = {std::string(version), compiler(), RAMIE_ASSERTIONS != 0};
  machine.environment = runtime::read_process_environment(runtime::Config{});
  machine.read = &runtime::read_file;
  machine.kernel = kernel_release();
  machine.cpus = runtime::affinity_count();
  machine.ring = ask_for_ring(machine.environment.values);
  machine.stack = ask_for_stacks(machine.environment.values);
  machine.has_fine_timeouts = ask_for_timeouts();
  machine.membarrier = ask_for_membarrier();
  machine.clock = clock_cost();
  return machine;
}

}  // namespace doctor
