// See context.hpp.
#include "sched/context.hpp"

#include <boost/context/detail/fcontext.hpp>

#include <cxxabi.h>
#include <array>
#include <cstdlib>
#include <iterator>

#if RAMIE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if RAMIE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace ramie::inline v0::sched {

namespace {

namespace fcontext = boost::context::detail;

[[gnu::noinline]] ExceptionState* fetch_exception_state() noexcept {
  auto* state = reinterpret_cast<ExceptionState*>(__cxxabiv1::__cxa_get_globals());
  __asm__ __volatile__("" : "+r"(state)::"memory");
  return state;
}

#if defined(__aarch64__)
// The floating point modes (rounding, flush to zero, traps) belong to the fiber. Boost's switch
// keeps them on x86-64, but not here. Writing the register is slow, so this writes what differs.
class FloatModes {
 public:
  FloatModes() noexcept : modes_(read()) {}
  ~FloatModes() {
    if (read() != modes_) __asm__ __volatile__("msr fpcr, %0" ::"r"(modes_));
  }
  FloatModes(const FloatModes&) = delete;
  FloatModes& operator=(const FloatModes&) = delete;

 private:
  static std::uint64_t read() noexcept {
    std::uint64_t modes = 0;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(modes));
    return modes;
  }

  std::uint64_t modes_;
};
#else
struct FloatModes {};
#endif

// Used for both directions: saves the live state, and makes the other side's state live.
RAMIE_NO_TSAN inline void exchange_exceptions(ExceptionState& live, ExceptionState& saved,
                                              const ExceptionState& entering) noexcept {
  saved = live;
  live = entering;
}

#if RAMIE_ASAN
// ASan's fake stacks hold the locals whose address is taken, to detect their use after a return. It
// maps one for each fiber, in thirty times the time of a short fiber. So fibers that have ended
// leave theirs here, for the next ones. What they held stays poisoned until it is used again.
//
//   a place: null --claim()--> taken_ --release()--> a fake stack --take()--> null
using Place = base::Atomic<void*>;
class FakeStacks {
 public:
  // Returns one that an ended fiber left, or null.
  void* take() noexcept {
    for (Place& place : places_) {
      void* stack = place.load(base::kRelaxed);
      if (stack != nullptr && stack != &taken_ &&
          place.compare_exchange_strong(stack, nullptr, base::kAcqRel, base::kRelaxed))
        return stack;
    }
    return nullptr;
  }

  // Returns a place that the caller must write to, or null if all are full.
  Place* claim() noexcept {
    for (Place& place : places_) {
      void* none = nullptr;
      if (place.load(base::kRelaxed) == nullptr &&
          place.compare_exchange_strong(none, &taken_, base::kAcqRel, base::kRelaxed))
        return &place;
    }
    return nullptr;
  }

 private:
  std::array<Place, 512> places_{};
  char taken_ = 0;
};
constinit FakeStacks fake_stacks;
#endif

// `last`: the fiber has ended; ASan frees its fake stack if there is no room to keep it.
RAMIE_NO_TSAN void jump_out(FiberContext& fiber, [[maybe_unused]] bool last) noexcept {
  ThreadContext* thread = fiber.thread;
  exchange_exceptions(*thread->live, fiber.exceptions, thread->exceptions);
#if RAMIE_ASAN
  if (last) fiber.fake_stack_place = fake_stacks.claim();
  const bool is_kept = !last || fiber.fake_stack_place != nullptr;
  __sanitizer_start_switch_fiber(is_kept ? &fiber.fake_stack : nullptr, thread->stack_low,
                                 thread->stack_size);
#endif
#if RAMIE_TSAN
  __tsan_switch_to_fiber(thread->tsan, __tsan_switch_to_fiber_no_sync);
#endif
  [[maybe_unused]] const FloatModes modes{};  // puts them back after the jump
  const fcontext::transfer_t back = fcontext::jump_fcontext(thread->registers, nullptr);
  thread = static_cast<ThreadContext*>(back.data);  // may run on another thread from here on
  thread->registers = back.fctx;
#if RAMIE_ASAN
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &thread->stack_low, &thread->stack_size);
#endif
  exchange_exceptions(*thread->live, thread->exceptions, fiber.exceptions);
  base::tsan_acquire(thread);
}

}  // namespace

// The frame below main(), where unwinders and debuggers stop.
[[gnu::noinline]] RAMIE_NO_TSAN void enter_first_frame(FiberContext& fiber) noexcept {
  fiber.main_(fiber.argument_);
}

namespace {

RAMIE_NO_TSAN void first_frame(fcontext::transfer_t from) noexcept {
#if defined(__x86_64__)
  __asm__ __volatile__(".cfi_undefined rip");
#elif defined(__aarch64__)
  __asm__ __volatile__(".cfi_undefined x30");
#endif
  auto* thread = static_cast<ThreadContext*>(from.data);
  FiberContext& fiber = *static_cast<FiberContext*>(thread->registers);
  thread->registers = from.fctx;
#if RAMIE_ASAN
  __sanitizer_finish_switch_fiber(fake_stacks.take(), &thread->stack_low, &thread->stack_size);
#endif
  exchange_exceptions(*thread->live, thread->exceptions, fiber.exceptions);
  base::tsan_acquire(thread);
  enter_first_frame(fiber);
  jump_out(fiber, true);
  std::abort();  // nobody switches into a fiber that has ended
}

}  // namespace

namespace {

// Boost's versions leave different numbers of bytes on the stack. A fresh context tells which
// version this is: the function that it will call is in the slot of rbx, three words from the end,
// or (AArch64) in that of the program counter, two words from the end.
std::size_t saved_bytes() noexcept {
#if defined(__aarch64__)
  constexpr std::size_t kFromEnd = 2;
#else
  constexpr std::size_t kFromEnd = 3;
#endif
  alignas(64) static void* stack[64];
  void** low = static_cast<void**>(
      fcontext::make_fcontext(stack + std::size(stack), sizeof stack, &first_frame));
  for (std::size_t word = 1; low + word < std::end(stack); ++word)
    if (low[word] == reinterpret_cast<void*>(&first_frame))
      return (word + kFromEnd) * sizeof(void*);
  return 0;
}

const std::size_t kSavedBytes = saved_bytes();

}  // namespace

const void* FiberContext::saved_stack() const noexcept {
  if (kSavedBytes == 0 || registers == nullptr) return nullptr;
  return static_cast<std::byte*>(registers) + kSavedBytes;
}

void ThreadContext::attach() noexcept {
  live = fetch_exception_state();
#if RAMIE_TSAN
  tsan = __tsan_get_current_fiber();
#endif
  // The start of the thread, and with it the initial values of its thread-locals.
  base::tsan_release(this);
}

void FiberContext::prepare(Stack& stack, void (*main)(void*) noexcept, void* argument) noexcept {
  main_ = main;
  argument_ = argument;
  exceptions = {};
  registers = fcontext::make_fcontext(stack.top(), stack.usable(), &first_frame);
#if RAMIE_ASAN
  fake_stack = nullptr;
  fake_stack_place = nullptr;
#endif
#if RAMIE_TSAN
  tsan = __tsan_create_fiber(0);
#endif
}

void FiberContext::release() noexcept {
#if RAMIE_ASAN
  if (fake_stack_place != nullptr) fake_stack_place->store(fake_stack, base::kRelease);
  fake_stack_place = nullptr;
#endif
#if RAMIE_TSAN
  __tsan_destroy_fiber(tsan);
  tsan = nullptr;
#endif
}

[[gnu::noinline]] RAMIE_NO_TSAN void switch_in(ThreadContext& thread, FiberContext& fiber,
                                               [[maybe_unused]] const Stack& stack) noexcept {
  fiber.thread = &thread;
  thread.registers =
      &fiber;  // first_frame() finds the fiber here; later overwritten with the worker's registers
#if RAMIE_ASAN
  __sanitizer_start_switch_fiber(&thread.fake_stack, stack.low(), stack.size());
#endif
#if RAMIE_TSAN
  __tsan_switch_to_fiber(fiber.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  [[maybe_unused]] const FloatModes modes{};  // puts them back after the jump
  const fcontext::transfer_t out = fcontext::jump_fcontext(fiber.registers, &thread);
  fiber.registers = out.fctx;
#if RAMIE_ASAN
  __sanitizer_finish_switch_fiber(thread.fake_stack, nullptr, nullptr);
#endif
}

[[gnu::noinline]] RAMIE_NO_TSAN void switch_out(FiberContext& fiber) noexcept {
  jump_out(fiber, false);
}

}  // namespace ramie::inline v0::sched
