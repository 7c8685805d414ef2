// See watchdog.hpp.
#include "sched/watchdog.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/detached.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/dump.hpp"
#include "sched/frames.hpp"
#include "sched/scheduler.hpp"
#include "sched/wait.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace ramie::inline v0::sched {

namespace {

constexpr base::Nanos kShortest{10'000'000};
constexpr base::Nanos kLongest{250'000'000};
constexpr std::uint32_t kQuietLooks = 2;
constexpr base::Nanos kLongestPatience{60'000'000'000};
constexpr int kPipeMs = 1000;

constinit base::Atomic<std::uint32_t> bell{0};
constinit base::Atomic<std::uint32_t> dump_requests{0};
constinit base::Atomic<std::uint32_t> watchdogs{0};  // that run
constinit base::Atomic<std::uint32_t> printers{0};   // of these, the ones that dump on a signal

[[maybe_unused]] const bool is_forgotten_in_children = base::sys::in_forked_child([]() noexcept {
  watchdogs.store(0, base::kRelaxed);
  printers.store(0, base::kRelaxed);
});

base::Nanos interval_of(base::Nanos stall) noexcept {
  if (stall.count() == 0) return kLongest;
  return std::clamp(stall / 4, kShortest, kLongest);
}

// If the reader of our stderr has stopped, we must not stop, too. What it does not take within a
// second is dropped.
void print(const std::string& text) noexcept {
  base::sys::write_stderr_within(text.data(), text.size(), kPipeMs);
}

// The number of threads of this process; 0 if the kernel does not say. In /proc/self/stat the name
// may hold any character, so fields are counted from its last parenthesis: this is the 18th after
// it.
std::size_t threads_of_process() noexcept {
  std::array<char, 1024> text{};
  const auto room = std::span(text).first(text.size() - 1);
  if (base::sys::read_file("/proc/self/stat", room) <= 0) return 0;
  const char* at = std::strrchr(text.data(), ')');
  for (int field = 0; at != nullptr && field < 18; ++field) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoul(at, nullptr, 10);
}

// Waits that only another fiber or thread of this process can end.
bool is_internal(WaitKind kind) noexcept {
  switch (kind) {
    case WaitKind::join:
    case WaitKind::scope:
    case WaitKind::mutex:
    case WaitKind::condvar:
    case WaitKind::semaphore:
    case WaitKind::notify:
    case WaitKind::channel:
    case WaitKind::token: return true;
    default: return false;
  }
}

}  // namespace

Watchdog::Watchdog(Scheduler& scheduler)
    : scheduler_(scheduler), interval_(interval_of(scheduler.options().watchdog.stall)) {}

void Watchdog::start() {
  seen_.resize(scheduler_.workers().size());
  runs_.resize(scheduler_.workers().size());
  dumps_ = dump_requests.load(base::kRelaxed);
  const std::uint32_t prints = scheduler_.options().watchdog.dumps_on_signal ? 1 : 0;
  watchdogs.fetch_add(1, base::kRelaxed);
  printers.fetch_add(prints, base::kSeqCst);
  try {
    thread_ = base::start_thread([this] { run(); });
  } catch (...) {
    watchdogs.fetch_sub(1, base::kRelaxed);
    printers.fetch_sub(prints, base::kSeqCst);
    throw;
  }
}

void Watchdog::stop() noexcept {
  if (!thread_.joinable()) return;
  is_stopping_.store(true, base::kSeqCst);
  wake_up();
  if (scheduler_.options().watchdog.dumps_on_signal) printers.fetch_sub(1, base::kSeqCst);
  thread_.join();
  watchdogs.fetch_sub(1, base::kRelaxed);
}

bool Watchdog::request_dump() noexcept {
  if (printers.load(base::kSeqCst) == 0) return false;
  dump_requests.fetch_add(1, base::kSeqCst);
  bell.fetch_add(1, base::kSeqCst);
  base::sys::futex_wake_from_handler(&bell);
  return true;
}

void Watchdog::wake_up() noexcept {
  is_asleep_.store(false, base::kRelaxed);
  bell.fetch_add(1, base::kSeqCst);
  base::sys::futex_wake(&bell, 1 << 30);
}

void Watchdog::run() noexcept {
  const base::TsanInternal internal;
  base::sys::name_thread("ramie-watchdog");
  base::sys::block_signals();  // so that it is not interrupted, and a report raises no SIGPIPE
  while (!is_stopping_.load(base::kSeqCst)) {
    const std::uint32_t seen = bell.load(base::kSeqCst);
    try {
      print_dump();
      // The bell, or an error of the kernel, may have ended the sleep right after the last look.
      if (base::now() - last_look_ >= interval_) look();
    } catch (const std::bad_alloc&) {
      constexpr std::string_view kText = "ramie: no memory for a report of the watchdog\n";
      base::sys::write_stderr_within(kText.data(), kText.size(), kPipeMs);
    }
    sleep(seen);
  }
}

// ORDER(watchdog-1), partner in Worker::come_back. We publish that we sleep, then look at the
// workers. A worker leaves the set of sleepers, then looks whether we sleep. With seq_cst one of us
// sees the other.
void Watchdog::sleep(std::uint32_t rung) noexcept {
  base::Nanos limit = interval_;
  if (quiet_looks_ >= kQuietLooks) {
    is_asleep_.store(true, base::kSeqCst);
    bool is_quiet = true;
    for (std::size_t i = 0; i < scheduler_.workers().size(); ++i)
      is_quiet &= scheduler_.workers().is_asleep(i);
    if (is_quiet) limit = patience_;
  } else {
    limit = std::max(limit - (base::now() - last_look_), base::Nanos(0));
  }
  if (!is_stopping_.load(base::kSeqCst)) (void)base::sys::futex_wait(&bell, rung, limit);
  is_asleep_.store(false, base::kRelaxed);
}

void Watchdog::print_dump() {
  const std::uint32_t requests = dump_requests.load(base::kSeqCst);
  if (std::exchange(dumps_, requests) == requests) return;
  if (scheduler_.options().watchdog.dumps_on_signal) print(dump(scheduler_) + "\n");
}

// A loop that ignores an error.
void Watchdog::print_spin() {
  const auto spin = spin_watch_.take();
  if (!spin) return;
  spins_.fetch_add(1, base::kRelaxed);
  print(
      fmt::format("ramie: fiber {} '{}' has passed {} waits in {:.1f} s, and none of them "
                  "waited: each was refused or brought nothing. Is an error ignored in a "
                  "loop?\n{}",
                  spin->fiber, spin->name.data(), spin->waits,
                  std::chrono::duration<double>(spin->time).count(), frames_text(spin->frames)));
}

void Watchdog::look() {
  last_look_ = base::now();
  print_spin();
  bool are_all_asleep = true;
  bool has_sleeper = false;
  bool has_stuck_work = false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const bool has_moved = !look_at_worker(i);
    are_all_asleep &= seen_[i].is_asleep && !has_moved;
    has_sleeper |= seen_[i].is_asleep && !has_moved;
    has_stuck_work |= !seen_[i].is_asleep && !has_moved && seen_[i].has_work;
  }
  rescue(has_stuck_work, has_sleeper);
  if (!are_all_asleep) {
    quiet_looks_ = 0;
    has_reported_deadlock_ = false;
    patience_ = kLongest;
    return;
  }
  if (++quiet_looks_ < kQuietLooks) return;
  look_for_deadlock();
  // A thread that was awake may go to sleep later without ringing the bell. So look again, at
  // growing intervals.
  const bool looks_again = scheduler_.options().watchdog.on_deadlock != OnDeadlock::off &&
                           !has_reported_deadlock_ && scheduler_.live() > 0;
  patience_ = looks_again ? std::min(patience_ * 2, kLongestPatience) : base::Nanos(-1);
}

bool Watchdog::look_at_worker(std::size_t index) {
  Worker& worker = scheduler_.workers()[index];
  Seen& seen = seen_[index];
  Fiber* fiber = worker.running();
  const Seen now{.tick = worker.tick(),
                 .sleeps = worker.metrics().parks.get(),
                 .is_asleep = scheduler_.workers().is_asleep(index),
                 .has_work = worker.has_stealable_work(),
                 .fiber = fiber};
  const bool has_moved = now.tick != seen.tick || now.sleeps != seen.sleeps ||
                         now.is_asleep != seen.is_asleep || now.fiber != seen.fiber ||
                         (now.has_work && !seen.has_work);
  look_at_fiber(index, fiber, has_moved);
  seen = now;
  return !has_moved;
}

// Reports one fiber in one run after `stall`, and again when the run is twice as long as it was at
// the end of the last report. (The first report reads the symbols, which can take longer than the
// run did.)
void Watchdog::look_at_fiber(std::size_t index, Fiber* fiber, bool has_moved) {
  const base::Nanos stall = scheduler_.options().watchdog.stall;
  Run& run = runs_[index];
  const base::Instant now = base::now();
  if (has_moved || fiber == nullptr) {
    if (std::exchange(run.is_reported, false))
      print(fmt::format("ramie: worker {} goes on\n", index));
    run.before = std::exchange(run.last, now);
    run.first = now;
    run.next_report = stall;
    return;
  }
  run.last = now;
  if (stall.count() == 0 || now - run.first < run.next_report) return;
  run.next_report = 2 * (now - run.first);
  if (!fiber->try_retain()) return;
  const HeldReference held(*fiber);
  Worker& worker = scheduler_.workers()[index];
  const std::uint32_t tick = seen_[index].tick;
  // The block may belong to another fiber now.
  if (worker.running() != fiber || worker.tick() != tick) return;
  stalls_.fetch_add(1, base::kRelaxed);
  run.is_reported = true;
  print("ramie: " + describe_running(worker, *fiber, tick, {run.before, run.first}));
  run.next_report = 2 * (base::now() - run.first);
}

// A sleeper has slept since our last look although there was work, so a wake-up was lost.
void Watchdog::rescue(bool has_stuck_work, bool has_sleeper) {
  std::uint64_t taken = 0;
  // Turns of drivers, and sleeps: a worker that takes the baton counts one or the other.
  std::uint64_t turns = 0;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const WorkerMetrics& metrics = scheduler_.workers()[i].metrics();
    taken += metrics.injected.get();
    turns += metrics.polls.get() + metrics.parks.get();
  }
  const bool has_injected_work = scheduler_.workers().injector().size() > 0;
  const bool is_injected_left = has_injected_work && had_injected_work_ && taken == seen_injected_;
  const bool has_free_baton = scheduler_.shards().has_unattended();
  const bool is_baton_left = has_free_baton && had_free_baton_ && turns == seen_turns_;
  seen_turns_ = turns;
  seen_injected_ = taken;
  had_injected_work_ = has_injected_work;
  had_free_baton_ = has_free_baton && has_sleeper;
  if (!has_sleeper || !(has_stuck_work || is_injected_left || is_baton_left)) return;
  if (!scheduler_.workers().wake_sleeper()) return;
  rescues_.fetch_add(1, base::kRelaxed);
  // There is no watcher, so the watchdog's help is expected.
  if (scheduler_.options().watch.count() == 0) return;
  print(fmt::format("ramie: the watchdog woke a worker: {}; please report this\n",
                    has_stuck_work     ? "another's queue was left"
                    : is_injected_left ? "the shared queue was left"
                                       : "nobody waited for I/O"));
}

// --- all asleep ----------------------------------------------------------------------------------

// All workers have slept for two looks.
void Watchdog::look_for_deadlock() {
  const OnDeadlock what = scheduler_.options().watchdog.on_deadlock;
  if (what == OnDeadlock::off || has_reported_deadlock_ || !is_deadlock()) return;
  has_reported_deadlock_ = true;
  deadlocks_.fetch_add(1, base::kRelaxed);
  print(dump(scheduler_) + "\n");
  constexpr const char* kText =
      "deadlock: all fibers wait for each other, and no timer, descriptor, signal or thread of "
      "this process can wake them; each is in the dump above";
  if (what == OnDeadlock::abort) base::fatal("%s", kText);
  print(fmt::format("ramie: {}\n", kText));
}

bool Watchdog::are_all_as_seen() const noexcept {
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const Worker& worker = scheduler_.workers()[i];
    if (!scheduler_.workers().is_asleep(i) || worker.tick() != seen_[i].tick ||
        worker.metrics().parks.get() != seen_[i].sleeps)
      return false;
  }
  return true;
}

// Counts the threads first. A thread that is counted as parked then is woken by nobody, if the
// workers have slept until the end of this function.
bool Watchdog::is_deadlock() {
  // Any other thread of the process may wake a fiber, unless it waits for a fiber itself, or
  // belongs to the kernel's side of an io_uring.
  const std::size_t ours = scheduler_.workers().size() + scheduler_.blocking().threads() + 1;
  const std::size_t all = threads_of_process();
  const std::size_t harmless = ours + parked_threads() + DetachedCalls::idle_in_process();
  if (all < harmless) return false;
  if (watchdogs.load(base::kRelaxed) != 1 || scheduler_.is_shutting_down()) return false;
  if (scheduler_.live() <= 0 || scheduler_.workers().injector().size() > 0) return false;
  if (scheduler_.timers().next() != kNoTick) return false;
  if (scheduler_.blocking().running() != 0 || scheduler_.blocking().queued() != 0) return false;
  if (scheduler_.env.expects_signals != nullptr && scheduler_.env.expects_signals()) return false;
  bool are_internal = true;
  scheduler_.for_each_fiber([&](Fiber& fiber) {
    if (fiber.has_ended()) return;
    are_internal &= fiber.word.state() == FiberWord::kParked &&
                    is_internal(fiber.waits_for.load(base::kRelaxed));
  });
  if (!are_internal || !are_all_as_seen()) return false;
  return all == harmless || all - harmless == base::sys::kernel_io_threads();
}

}  // namespace ramie::inline v0::sched
