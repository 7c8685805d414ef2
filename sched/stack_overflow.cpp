// See stack_overflow.hpp.
#include "sched/stack_overflow.hpp"

#include "sched/base/interrupted.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/fiber.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace ramie::inline v0::sched {

namespace {

constexpr std::size_t kAlternateBytes = 64 * 1024;
struct sigaction before;

// Either the guard was touched, or a frame without stack probes has stepped over the guard and
// faults somewhere else.
bool has_overflowed(const Fiber* fiber, const void* touched, const void* context) noexcept {
  if (fiber == nullptr || fiber->stack == nullptr) return false;
  const std::uintptr_t pointer = base::interrupted(context).stack;
  return fiber->stack->guards(touched) ||
         fiber->stack->is_overrun_at(reinterpret_cast<const void*>(pointer));
}

// Runs on the alternate stack. It formats into a local buffer only, since the fiber's stack is
// full.
void on_fault(int number, siginfo_t* info, void* context) {
  const Fiber* fiber = current_fiber();
  if (has_overflowed(fiber, info->si_addr, context)) {
    char line[256];
    const int n = std::snprintf(
        line, sizeof line,
        "ramie: fatal: stack overflow in fiber %lu '%s': its stack has %zu KiB; "
        "spawn it with a larger stack_size, or raise RAMIE_STACK_SIZE\n",
        static_cast<unsigned long>(fiber->id), fiber->name, fiber->stack->size() / 1024);
    if (n > 0) base::sys::write_stderr(line, static_cast<std::size_t>(n));
  } else if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
    before.sa_sigaction(number, info, context);
    return;
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
    return;
  }
  // Restores the default action. The faulting instruction runs again and leaves a core.
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(number, &standard, nullptr);
}

}  // namespace

void install_stack_overflow_reporter() noexcept {
  static base::Atomic<bool> is_installed{false};
  if (is_installed.exchange(true, base::kSeqCst)) return;
  struct sigaction action{};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (base::inject("sigaction") == 0) ::sigaction(SIGSEGV, &action, &before);
}

bool AlternateStack::install() noexcept {
  stack_t present{};
  if (base::inject("sigaltstack") != 0) return false;
  if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) return true;
  memory_ = std::malloc(kAlternateBytes);
  if (memory_ == nullptr) return false;
  stack_t own{};
  own.ss_sp = memory_;
  own.ss_size = kAlternateBytes;
  return ::sigaltstack(&own, nullptr) == 0;
}

AlternateStack::~AlternateStack() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
  std::free(memory_);
}

}  // namespace ramie::inline v0::sched
