// See handlers.hpp. The only file that installs signal handlers.
//
// The handler may interrupt any code, also code on a fiber's stack. So it takes no lock, allocates
// nothing, needs less than 512 bytes of stack and restores errno.
#include "signal/handlers.hpp"

#include "io/sys/event_fd.hpp"
#include "io/sys/outcome.hpp"
#include "sched/base/atomic.hpp"
#include "sched/base/mutex.hpp"
#include "sched/base/sys.hpp"
#include "sched/fork.hpp"
#include "sched/watchdog.hpp"
#include "signal/bell_slot.hpp"

#include <unistd.h>
#include <array>
#include <csignal>
#include <mutex>
#include <thread>

namespace ramie::inline v0::signal::handlers {

namespace {

// --- what the handler touches
constinit std::array<BellSlot, kMaxBells> slots;
constinit base::Atomic<std::size_t> used_slots{0};  // the slots from here on never had a bell
constinit base::Atomic<SignalSet> pending{0};
constinit base::Atomic<pid_t> owner{0};                 // the process that installed the handlers
constinit base::Atomic<std::uint32_t> owner_number{0};  // the same, as fork() counts
constinit base::Atomic<int> dump_number{0};             // 0: none
constinit base::Atomic<bool> is_shutdown_armed{false};
constinit base::Atomic<bool> has_shutdown_come{false};
const struct sigaction kDefaultAction{};  // SIG_DFL, no flags; not on the handler's stack
static_assert(base::Atomic<SignalSet>::is_always_lock_free && SIG_DFL == nullptr);

// --- what the handler does not touch; `mutex` guards it. A fork holds `mutex`, so that in the
// child it is free and this data is consistent
constinit base::Mutex mutex;
constinit SignalSet installed = 0;

[[maybe_unused]] const bool is_whole_in_children = [] {
  const auto unlock = []() noexcept { mutex.unlock(); };
  base::sys::around_forks([]() noexcept { mutex.lock(); }, unlock, unlock);
  return true;
}();

// The signals that the program's parent ignored when it started the program: a shell script that
// starts us with `&` makes us ignore INT and QUIT. (The program itself can ignore signals only
// later.)
SignalSet find_ignored() noexcept {
  SignalSet ignored = 0;
  for (const int number : {SIGQUIT, SIGUSR1, SIGUSR2}) {
    struct sigaction present{};
    if (::sigaction(number, nullptr, &present) == 0 && present.sa_handler == SIG_IGN)
      ignored |= bit_of(number);
  }
  return ignored;
}
const SignalSet ignored_by_parent = find_ignored();

bool is_shutdown_kind(int number) noexcept { return number == SIGINT || number == SIGTERM; }

// A sandbox may deny getpid(), at once or later. Then we cannot tell a child of _Fork() or clone()
// from its parent.
bool is_owner() noexcept {
  const pid_t self = ::getpid();
  if (self > 0) return owner.load(base::kRelaxed) == self;
  return owner_number.load(base::kRelaxed) == sched::fork_number();
}

void restore_default(int number) noexcept { (void)::sigaction(number, &kDefaultAction, nullptr); }

void restore_shutdown_kinds() noexcept {
  restore_default(SIGINT);
  restore_default(SIGTERM);
}

// The signal is blocked until the handler returns, so its default action happens only then.
[[gnu::noinline]] void act_by_default(int number) noexcept {
  const bool is_dump = number == dump_number.load(base::kRelaxed);
  if (is_dump && (ignored_by_parent & bit_of(number)) != 0) return;
  restore_default(number);
  (void)base::sys::interrupt(base::sys::thread_id(), number);
}

void on_signal(int number) noexcept {
  if (!is_owner()) {  // S3
    act_by_default(number);
    return;
  }
  if (number == dump_number.load(base::kRelaxed)) {
    if (!sched::Watchdog::request_dump()) act_by_default(number);  // no runtime exists
    return;
  }
  if (is_shutdown_kind(number) && is_shutdown_armed.load(base::kSeqCst)) {
    has_shutdown_come.store(true, base::kSeqCst);
    restore_shutdown_kinds();
  }
  pending.fetch_or(bit_of(number), base::kSeqCst);  // S1
  const std::size_t count = used_slots.load(base::kSeqCst);
  for (std::size_t i = 0; i < count; ++i) slots[i].ring(io::sys::ring);
}

// The program may have replaced our handler with its own.
bool is_ours(int number) noexcept {
  struct sigaction present{};
  return ::sigaction(number, nullptr, &present) == 0 && (present.sa_flags & SA_SIGINFO) == 0 &&
         present.sa_handler == &on_signal;
}

// Under the lock. A forked child forgets what its parent installed (S3).
void adopt_process() noexcept {
  const bool is_known = owner.load(base::kRelaxed) != 0;
  if (is_known && is_owner()) return;
  for (int number = 1; number <= kMaxSignal; ++number)
    if ((installed & bit_of(number)) != 0 && is_ours(number)) restore_default(number);
  installed = 0;
  dump_number.store(0, base::kRelaxed);
  for (BellSlot& slot : slots) slot.forget();
  pending.store(0, base::kRelaxed);
  is_shutdown_armed.store(false, base::kRelaxed);
  has_shutdown_come.store(false, base::kRelaxed);
  owner_number.store(sched::fork_number(), base::kRelaxed);
  owner.store(::getpid(), base::kSeqCst);
}

// Under the lock. 0 or -errno.
int install_locked(int number) noexcept {
  if ((installed & bit_of(number)) != 0) return 0;
  struct sigaction action{};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  (void)::sigemptyset(&action.sa_mask);
  if (const int planned = base::inject("sigaction"); planned != 0) return planned;
  const int error = io::sys::outcome_of(::sigaction(number, &action, nullptr));
  if (error != 0) return error;
  installed |= bit_of(number);
  // S7: a worker of each runtime hears its bell and unblocks the signal.
  for (const BellSlot& slot : slots)
    if (!slot.is_free()) io::sys::ring(slot.bell());
  return 0;
}

sigset_t set_of(SignalSet signals) noexcept {
  sigset_t set;
  (void)::sigemptyset(&set);
  for (; signals != 0; signals &= signals - 1)
    (void)::sigaddset(&set, __builtin_ctzll(signals) + 1);
  return set;
}

// Under the lock. Looks at this thread, from which the workers of a new runtime inherit their
// masks.
bool is_any_blocked() noexcept {
  sigset_t mask;
  if (::pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
  for (SignalSet left = installed; left != 0; left &= left - 1)
    if (::sigismember(&mask, __builtin_ctzll(left) + 1) == 1) return true;
  return false;
}

}  // namespace

Result<void> install(int number) noexcept {
  const std::lock_guard lock(mutex);
  adopt_process();
  if (number == dump_number.load(base::kRelaxed)) dump_number.store(0, base::kRelaxed);
  const int error = install_locked(number);
  if (error != 0) return failure(std::error_code(-error, std::system_category()));
  return {};
}

bool install_dump(int number) noexcept {
  const std::lock_guard lock(mutex);
  adopt_process();
  const int before = dump_number.load(base::kRelaxed);
  if (before != 0 && before != number) return false;
  if (before == number && is_ours(number)) return true;
  struct sigaction present{};
  if (::sigaction(number, nullptr, &present) != 0) return false;
  const bool is_inherited =
      present.sa_handler == SIG_IGN && (ignored_by_parent & bit_of(number)) != 0;
  if ((present.sa_flags & SA_SIGINFO) != 0) return false;
  if (present.sa_handler != SIG_DFL && !is_inherited) return false;
  dump_number.store(number, base::kRelaxed);
  installed &= ~bit_of(number);  // our handler, or the program, restored the default action
  if (install_locked(number) == 0) return true;
  dump_number.store(0, base::kRelaxed);
  return false;
}

void unblock() noexcept {
  SignalSet handled = 0;
  {
    const std::lock_guard lock(mutex);
    handled = installed;
  }
  const sigset_t set = set_of(handled);
  (void)::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool is_in_use() noexcept {
  const std::lock_guard lock(mutex);
  const int number = dump_number.load(base::kRelaxed);
  return (installed & ~(number == 0 ? SignalSet{0} : bit_of(number))) != 0;
}

// Arms first, so that the new handler does not miss the shutdown in the first signal that it gets.
void arm_shutdown() noexcept {
  const std::lock_guard lock(mutex);
  adopt_process();
  is_shutdown_armed.store(true, base::kSeqCst);
  (void)install_locked(SIGINT);
  (void)install_locked(SIGTERM);
  if (has_shutdown_come.load(base::kSeqCst)) restore_shutdown_kinds();
}

bool is_shutdown_requested() noexcept { return has_shutdown_come.load(base::kSeqCst); }

SignalSet take() noexcept {
  if (pending.load(base::kSeqCst) == 0) return 0;
  return pending.exchange(0, base::kSeqCst);
}

// The first runtime hears the signals that arrived while there was none: ORDER(signal-2).
Result<Bell> Bell::create() noexcept {
  io::sys::UniqueFd fd(io::sys::open_event());
  if (!fd.is_open()) return failure(std::error_code(-fd.get(), std::system_category()));
  const std::lock_guard lock(mutex);
  adopt_process();
  for (std::size_t i = 0; i < kMaxBells; ++i) {
    if (!slots[i].is_free()) continue;
    slots[i].hang(fd.get());
    if (i >= used_slots.load(base::kRelaxed)) used_slots.store(i + 1, base::kSeqCst);
    if (pending.load(base::kSeqCst) != 0 || is_any_blocked()) io::sys::ring(fd.get());
    return Bell(std::move(fd), i);
  }
  return failure(std::make_error_code(std::errc::too_many_files_open));
}

Bell::~Bell() {
  if (!fd_.is_open()) return;  // moved from
  const std::lock_guard lock(mutex);
  BellSlot& slot = slots[slot_];
  if (!slot.take_down(fd_.get())) return;  // our parent's
  if (!is_owner()) return;  // we are a copy in a child, where the parent's handlers never end
  while (slot.is_in_use()) std::this_thread::yield();
}

}  // namespace ramie::inline v0::signal::handlers
