// Where a signal has interrupted its thread: what a handler with SA_SIGINFO finds in its third
// argument, whose layout differs between processors.
#pragma once

#include <ucontext.h>
#include <cstdint>

namespace ramie::inline v0::base {

struct Interrupted {
  std::uintptr_t instruction;
  std::uintptr_t stack;  // the stack pointer
};

inline Interrupted interrupted(const void* context) noexcept {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<std::uintptr_t>(registers.gregs[REG_RIP]),
          static_cast<std::uintptr_t>(registers.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {registers.pc, registers.sp};
#else
#error "a signal's registers are known for x86-64 and AArch64 only"
#endif
}

}  // namespace ramie::inline v0::base
