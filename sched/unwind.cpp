// See unwind.hpp.
//
// The unwinder starts where it is called. So we call it from a frame with a false table, which says
// that its caller is the fiber, with the registers that the switch has saved. Boost's versions have
// them at the same distance from the end, which becomes the frame's CFA:
//
//   x86-64   CFA-56 r12 | -48 r13 | -40 r14 | -32 r15 | -24 rbx | -16 rbp | -8 rip | CFA: rsp
//   AArch64  CFA-176 d8 to d15 | -112 x19 ... -40 x28 | -32 x29 | -24 x30 | -16 pc | CFA: sp
//
// On AArch64 the saved x30 is the fiber's program counter, too, because a call has led to the
// switch. No frame finds its caller by d8 to d15, so the table leaves them out.
#include "sched/unwind.hpp"

#include "sched/base/assert.hpp"

#include <unwind.h>

#if defined(__x86_64__)
__asm__(R"(
  .pushsection .text
  .hidden ramie_unwind_from
  .globl ramie_unwind_from
  .type ramie_unwind_from, @function
ramie_unwind_from:
  .cfi_startproc
  pushq %rbx
  .cfi_def_cfa_offset 16
  .cfi_offset rbx, -16
  movq %rdi, %rbx
  movq %rsi, %rdi
  movq %rdx, %rsi
  .cfi_remember_state
  .cfi_def_cfa rbx, 0
  .cfi_offset r12, -56
  .cfi_offset r13, -48
  .cfi_offset r14, -40
  .cfi_offset r15, -32
  .cfi_offset rbx, -24
  .cfi_offset rbp, -16
  .cfi_offset rip, -8
  call *_Unwind_Backtrace@GOTPCREL(%rip)
  nop
  .cfi_restore_state
  popq %rbx
  .cfi_def_cfa_offset 8
  .cfi_restore rbx
  ret
  .cfi_endproc
  .size ramie_unwind_from, . - ramie_unwind_from
  .popsection
)");
#elif defined(__aarch64__)
__asm__(R"(
  .pushsection .text
  .hidden ramie_unwind_from
  .globl ramie_unwind_from
  .type ramie_unwind_from, %function
  .p2align 2
ramie_unwind_from:
  .cfi_startproc
  stp x19, x30, [sp, #-16]!
  .cfi_def_cfa_offset 16
  .cfi_offset x19, -16
  .cfi_offset x30, -8
  mov x19, x0
  mov x0, x1
  mov x1, x2
  .cfi_remember_state
  .cfi_def_cfa x19, 0
  .cfi_offset x19, -112
  .cfi_offset x20, -104
  .cfi_offset x21, -96
  .cfi_offset x22, -88
  .cfi_offset x23, -80
  .cfi_offset x24, -72
  .cfi_offset x25, -64
  .cfi_offset x26, -56
  .cfi_offset x27, -48
  .cfi_offset x28, -40
  .cfi_offset x29, -32
  .cfi_offset x30, -24
  bl _Unwind_Backtrace
  nop
  .cfi_restore_state
  ldp x19, x30, [sp], #16
  .cfi_def_cfa_offset 0
  .cfi_restore x19
  .cfi_restore x30
  ret
  .cfi_endproc
  .size ramie_unwind_from, . - ramie_unwind_from
  .popsection
)");
#else
#error "the layout of saved registers is known for x86-64 and AArch64 only"
#endif

extern "C" int ramie_unwind_from(const void* cfa, _Unwind_Trace_Fn visit, void* argument);

namespace ramie::inline v0::sched {

namespace {

struct Walk {
  Frames& frames;
  std::uintptr_t begin;  // frames before this address belong to the walker; 0: keep all
  std::size_t skip;
};

// A return address may belong to the next line or function, since the call ends before it.
std::uintptr_t address_of(_Unwind_Context* context) noexcept {
  int is_exact = 0;
  const std::uintptr_t address = ::_Unwind_GetIPInfo(context, &is_exact);
  return address == 0 || is_exact != 0 ? address : address - 1;
}

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
  Walk& walk = *static_cast<Walk*>(argument);
  const std::uintptr_t address = address_of(context);
  if (address == 0 || walk.frames.count == Frames::kMost) return _URC_END_OF_STACK;
  if (walk.begin != 0 && address != walk.begin) return _URC_NO_REASON;
  walk.begin = 0;
  if (walk.skip != 0) --walk.skip;
  else walk.frames.add(address);
  return _URC_NO_REASON;
}

}  // namespace

void unwind(const FiberContext& fiber, Frames& frames) noexcept {
  const void* end = fiber.saved_stack();
  if (end == nullptr) return;
  Walk walk{frames, 0, 1};  // ramie_unwind_from itself
  (void)ramie_unwind_from(end, &visit, &walk);
}

[[gnu::noinline]] void unwind_here(Frames& frames) noexcept {
  Walk walk{frames, 0, 2};
  (void)::_Unwind_Backtrace(&visit, &walk);
}

void unwind_interrupted(std::uintptr_t at, Frames& frames) noexcept {
  Walk walk{frames, at, 0};
  (void)::_Unwind_Backtrace(&visit, &walk);
  if (frames.count == 0) frames.add(at);  // code without tables
}

// The unwinder recognises an interrupted frame by the table of the signal's return trampoline.
bool is_in_signal_handler() noexcept {
  bool is_found = false;
  const auto look = [](_Unwind_Context* context, void* found) {
    int is_exact = 0;
    (void)::_Unwind_GetIPInfo(context, &is_exact);
    if (is_exact == 0) return _URC_NO_REASON;
    *static_cast<bool*>(found) = true;
    return _URC_END_OF_STACK;
  };
  (void)::_Unwind_Backtrace(look, &is_found);
  return is_found;
}

void refuse_wait_in_handler() noexcept {
  base::fatal(
      "a signal handler called a function that may wait: it interrupts any code, also one that "
      "holds what it waits for. Let a fiber hear the signal (ramie::signal::Signal), or set a flag "
      "in the handler and act on it elsewhere");
}

// The first call makes the dynamic linker find the unwinder, and the unwinder find its tables.
void unwind_ahead() noexcept {
  Frames frames;
  Walk walk{frames, 0, 0};
  (void)::_Unwind_Backtrace(&visit, &walk);
}

}  // namespace ramie::inline v0::sched
