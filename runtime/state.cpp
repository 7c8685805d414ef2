// See state.hpp: start order, stop order, and the sum of all counters.
#include "runtime/state.hpp"

#include "io/sys/fd.hpp"
#include "runtime/cpus.hpp"
#include "sched/base/sys.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"
#include "sched/detectors.hpp"
#include "sched/hold_check.hpp"
#include "sched/stack_overflow.hpp"
#include "signal/handlers.hpp"

#include <algorithm>
#include <csignal>
#include <new>

namespace ramie::inline v0::runtime {

namespace {

constexpr std::size_t kWorkersPerShard = 8;

sched::GuardMethod guard_of(StackGuard guard) noexcept {
  switch (guard) {
    case StackGuard::automatic: return sched::GuardMethod::automatic;
    case StackGuard::madvise: return sched::GuardMethod::madvise;
    case StackGuard::mprotect: return sched::GuardMethod::mprotect;
    case StackGuard::off: return sched::GuardMethod::off;
  }
  return sched::GuardMethod::automatic;
}

sched::OnDeadlock on_deadlock_of(Deadlock what) noexcept {
  switch (what) {
    case Deadlock::off: return sched::OnDeadlock::off;
    case Deadlock::report: return sched::OnDeadlock::report;
    case Deadlock::abort: return sched::OnDeadlock::abort;
  }
  return sched::OnDeadlock::report;
}

bool install_dump_signal(DumpSignal signal) noexcept {
  switch (signal) {
    case DumpSignal::none: return false;
    case DumpSignal::quit: return signal::handlers::install_dump(SIGQUIT);
    case DumpSignal::usr1: return signal::handlers::install_dump(SIGUSR1);
    case DumpSignal::usr2: return signal::handlers::install_dump(SIGUSR2);
  }
  return false;
}

std::size_t workers_of(const Config& config) {
  return config.workers != 0 ? config.workers : worker_count(config.cpu_quota);
}

std::size_t shards_of(const Config& config, std::size_t workers) {
  const std::size_t wanted =
      config.io_shards != 0 ? config.io_shards : (workers - 1) / kWorkersPerShard + 1;
  return std::min(wanted, workers);
}

sched::SchedulerOptions options_of(const Config& config, const RuntimeState::Hooks& hooks) {
  sched::SchedulerOptions options;
  options.workers = workers_of(config);
  if (config.affinity != Affinity::none) {
    options.blocking_cpus = allowed_cpus();
    options.cpus = place_workers(config.affinity, options.workers, options.blocking_cpus);
  }
  options.event_interval = config.event_interval;
  options.global_interval = config.global_interval;
  options.budget = config.budget;
  options.lifo = config.lifo;
  options.watch = config.watch;
  options.spin = config.spin.value_or(std::chrono::microseconds(0));
  // The watcher finds work that waits lazily, so its interval bounds the age of that work.
  const bool is_eager = config.notify_lazy && config.notify_lazy->count() == 0;
  options.lazy_notify = !is_eager && config.watch.count() != 0;
  if (config.notify_lazy && !is_eager)
    options.watch = std::min<base::Nanos>(config.watch, *config.notify_lazy);
  options.seed = config.seed.value_or(base::sys::random_seed());
  options.chaos = config.chaos;
  options.stacks = {config.stack_size, guard_of(config.stack_guard), config.stack_cache};
  options.blocking_threads = config.blocking_threads;
  options.blocking_keepalive = config.blocking_keepalive;
  options.drain_timeout = config.drain_timeout;
  options.abort_on_unhandled = config.unhandled == Unhandled::abort;
  options.thread_name = hooks.thread_name;
  options.on_thread_start = hooks.on_thread_start;
  options.on_thread_stop = hooks.on_thread_stop;
  options.alternate_stacks = hooks.is_process_wide;
  options.interrupts = hooks.is_process_wide;
  options.watchdog.stall = std::chrono::milliseconds(config.stall_ms);
  options.watchdog.on_deadlock = on_deadlock_of(config.deadlock);
  options.watchdog.dumps_on_signal =
      hooks.is_process_wide && install_dump_signal(config.dump_signal);
  return options;
}

uring::HandleOptions uring_options_of(const Config& config) noexcept {
  uring::HandleOptions options;
  options.ring.entries = config.uring_entries;
  options.ring.mode = static_cast<uring::RingMode>(config.uring_mode);
  options.has_files = config.fs == FileBackend::uring ||
                      (config.fs == FileBackend::automatic && config.io != IoBackend::epoll);
  options.is_on = options.has_files || config.io != IoBackend::epoll;
  return options;
}

std::string describe_wait(sched::WaitKind kind, const void* object) {
  if (kind == sched::WaitKind::uring) return uring::describe_wait(object);
  return io::describe_wait(kind, object);
}

void add_uring(uring::Handle& handle, Metrics& sum) noexcept {
  const uring::Driver& driver = handle.driver();
  for (std::size_t i = 0; i < driver.workers(); ++i) {
    const uring::Site* site = driver.site(i);
    if (site == nullptr) continue;
    const uring::SiteMetrics& one = site->metrics();
    ++sum.rings;
    sum.uring_started += one.started.get();
    sum.uring_completed += one.completed.get();
    sum.uring_enters += one.enters.get();
    sum.uring_cancels += one.cancels.get();
    sum.uring_queued += one.queued.get();
    sum.fs_uring += one.files.get();
  }
  sum.fs_pool = driver.jobs.load(base::kRelaxed);
  sum.uring_refusal = uring::process_refusal();
}

// If the program requires io_uring and the kernel denies it: a message with the cause, and an
// error.
Result<void> check_uring(const Config& config, const uring::RingOptions& options) noexcept {
  const bool is_demanded = config.io == IoBackend::uring || config.fs == FileBackend::uring;
  if (!is_demanded) return {};
  auto ring = uring::Ring::create(options);
  if (ring) return {};
  base::warn("%s=uring: io_uring cannot be used here: %s",
             config.io == IoBackend::uring ? "RAMIE_IO" : "RAMIE_FS",
             ring.error().message().c_str());
  return failure(ring.error());
}

}  // namespace

Result<std::shared_ptr<RuntimeState>> RuntimeState::create(const Config& config,
                                                           const Hooks& hooks) {
  sched::hint_at_detector();
  const bool checks = config.checks == Checks::automatic ? sched::HoldCheck::is_on_by_default()
                                                         : config.checks == Checks::on;
  if (checks) sched::HoldCheck::turn_on();
  std::shared_ptr<RuntimeState> state(new RuntimeState(config));
  sched::SchedulerOptions options = options_of(config, hooks);
  // Before we open a descriptor: output to stdout or stderr must not go into a connection.
  if (hooks.is_process_wide) io::sys::fill_standard_descriptors();
  auto io = io::Handle::create(shards_of(config, options.workers));
  if (!io) return failure(io.error());
  state->io_ = std::move(*io);
  if (hooks.is_process_wide) {
    sched::install_stack_overflow_reporter();
    auto signals = signal::Handle::create(*state->io_);
    if (!signals) return failure(signals.error());
    state->signals_ = std::move(*signals);
  }
  const uring::HandleOptions uring_options = uring_options_of(config);
  if (auto checked = check_uring(config, uring_options.ring); !checked)
    return failure(checked.error());
  auto uring = uring::Handle::create(options.workers, uring_options);
  if (!uring) return failure(uring.error());
  state->uring_ = std::move(*uring);
  options.on_fibers_ended = [&ending = *state] {
    if (ending.signals_ != nullptr) ending.signals_->shut_down();
    ending.io_->shut_down();
  };
  state->scheduler_.reset(new sched::Scheduler(std::move(options), state->io_->as_shards()));
  sched::Env& env = state->scheduler_->env;
  env.set(*state->io_);
  if (state->signals_ != nullptr) env.set(*state->signals_);
  env.set(*state->uring_);
  env.set(*state);
  env.describe = &describe_wait;
  env.expects_signals = &signal::handlers::is_in_use;
  if (auto started = state->scheduler_->start(); !started) {
    return failure(started.error());
  }
  state->is_ended_.store(false, base::kRelease);
  return state;
}

RuntimeState::~RuntimeState() {
  end();
  if (leaves_parts_) leave_parts();
}

void RuntimeState::end_within(std::chrono::nanoseconds deadline) {
  for (const std::string& straggler : shut_down(deadline))
    base::warn("did not end within RAMIE_DRAIN_TIMEOUT and was left behind: %s", straggler.c_str());
}

std::vector<std::string> RuntimeState::shut_down(std::chrono::nanoseconds deadline) {
  if (is_in_forked_child()) {
    leaves_parts_ = true;
    return {};
  }
  if (scheduler_ == nullptr) return {};  // create() failed
  RAMIE_CHECK(sched::current_scheduler() != scheduler_.get() || sched::current_fiber() == nullptr,
              "a fiber cannot end its own runtime: it would wait for itself");
  const std::lock_guard lock(ending_);
  if (is_ended_.exchange(true, base::kAcqRel)) return {};
  std::vector<std::string> stragglers = scheduler_->shut_down(deadline);
  if (scheduler_->has_leaked()) {
    leaves_parts_ = true;
    leaked_self_ = weak_from_this().lock();  // threads may still use them
  }
  return stragglers;
}

void RuntimeState::leave_parts() noexcept {
  (void)io_.release();
  (void)signals_.release();
  (void)uring_.release();
  (void)scheduler_.release();
}

Metrics RuntimeState::metrics() const {
  Metrics sum;
  if (is_in_forked_child()) return sum;
  sched::Scheduler& scheduler = *scheduler_;
  sum.workers = scheduler.workers().size();
  for (std::size_t i = 0; i < sum.workers; ++i) {
    const sched::WorkerMetrics& one = scheduler.workers()[i].metrics();
    sum.switches += one.runs.get();
    sum.parks += one.parks.get();
    sum.unparks += one.unparks.get();
    sum.notified += one.notified.get();
    sum.wakes += one.wakes.get();
    sum.watches += one.watches.get();
    sum.polls += one.polls.get();
    sum.steals += one.steals.get();
    sum.stolen += one.stolen.get();
    sum.overflows += one.overflows.get();
    sum.injected += one.injected.get();
    sum.lifo_runs += one.lifo_runs.get();
    sum.yields += one.yields.get();
    sum.fruitless_waits += one.fruitless.get();
  }
  const std::int64_t live = scheduler.live();
  sum.spawned = scheduler.spawned();
  sum.finished = sum.spawned - static_cast<std::uint64_t>(std::max<std::int64_t>(live, 0));
  for (std::size_t i = 0; i < io_->shards(); ++i) {
    const io::DriverMetrics& one = io_->driver(i).metrics();
    sum.io_registered += one.registered.load(base::kRelaxed);
    sum.io_deregistered += one.deregistered.load(base::kRelaxed);
    sum.io_ready += one.ready.load(base::kRelaxed);
    sum.io_stale += one.stale.load(base::kRelaxed);
    sum.io_unparks += one.unparks.load(base::kRelaxed);
  }
  add_uring(*uring_, sum);
  if (const sched::Watchdog* watchdog = scheduler.watchdog()) {
    sum.stalls = watchdog->stalls();
    sum.spins = watchdog->spins();
    sum.deadlocks = watchdog->deadlocks();
    sum.rescues = watchdog->rescues();
  }
  sum.timers = scheduler.timers().size();
  sum.stacks = scheduler.stacks().taken();
  sum.blocking_threads = scheduler.blocking().threads();
  sum.blocking_queue = scheduler.blocking().queued();
  return sum;
}

}  // namespace ramie::inline v0::runtime
