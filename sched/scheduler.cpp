// See scheduler.hpp.
#include "sched/scheduler.hpp"

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"

#include <algorithm>
#include <cstdio>
#include <new>
#include <system_error>

namespace ramie::inline v0::sched {

namespace {

constexpr base::Nanos kLookAgain{1'000'000};
constexpr base::Nanos kTimeToStop{20'000'000};

base::Atomic<std::uint64_t> next_fiber_id{1};

}  // namespace

// Returns the first of `count` ids that no other caller gets.
std::uint64_t new_fiber_ids(std::uint64_t count) noexcept {
  return next_fiber_id.fetch_add(count, base::kRelaxed);
}

namespace {

int describe_current_fiber(char* text, int size) noexcept {
  const Fiber* fiber = current_fiber();
  if (fiber == nullptr) return 0;
  return std::snprintf(text, static_cast<std::size_t>(size), " (in fiber %lu '%s')",
                       static_cast<unsigned long>(fiber->id), fiber->name);
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options, const std::vector<Driver*>& drivers)
    : options_(std::move(options)),
      stacks_(options_.stacks),
      timers_(options_.workers),
      shards_(drivers),
      blocking_(std::make_unique<BlockingPool>(*this, options_.blocking_threads,
                                               options_.blocking_keepalive)),
      workers_(*this, options_) {
  base::set_describe(&describe_current_fiber);
  if (options_.watchdog.is_needed()) watchdog_ = std::make_unique<Watchdog>(*this);
}

Scheduler::~Scheduler() = default;

Result<void> Scheduler::start() noexcept {
  std::error_code error;
  try {
    if (watchdog_ != nullptr) watchdog_->start();
    workers_.start();
    return {};
  } catch (const std::system_error& refused) {
    error = refused.code();
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  workers_.close();
  workers_.join();
  if (watchdog_ != nullptr) watchdog_->stop();
  return failure(error);
}

// --- making fibers runnable ----------------------------------------------------------------------

void Scheduler::submit(Fiber& fiber) noexcept {
  if (Worker* worker = own_worker()) {
    worker->submit(fiber);
    return;
  }
  // As soon as others can see the fiber, it may run and end, and its runtime with it. retire()
  // waits until we are out of here.
  submitters_outside_.fetch_add(1, base::kSeqCst);
  workers_.submit_from_outside(fiber);
  submitters_outside_.fetch_sub(1, base::kSeqCst);
}

// --- shutdown ------------------------------------------------------------------------------------

bool Scheduler::has_unended(bool with_jobs) noexcept {
  bool found = false;
  for_each_fiber([&](Fiber& fiber) {
    const bool is_job = fiber.waits_for.load(base::kRelaxed) == WaitKind::blocking;
    found |= !fiber.has_ended() && (with_jobs || !is_job);
  });
  return found;
}

// Step 2. With `with_jobs` it also waits for jobs on threads of the blocking pool.
bool Scheduler::wait_until_ended(base::Instant deadline, bool with_jobs) noexcept {
  for (;;) {
    const std::uint32_t seen = ended_signal_.load(base::kSeqCst);
    // Read first: a job that ends meanwhile must not hide a fiber.
    const std::int64_t alive = live();
    if (alive <= (with_jobs ? 0 : static_cast<std::int64_t>(blocking_->running()))) return true;
    base::Nanos left = kLookAgain;
    if (deadline != base::kNever) {
      left = std::min(left, deadline - base::now());
      if (left.count() <= 0) {
        if (has_unended(with_jobs)) return false;
        left = kLookAgain;  // all have ended, and the last ones are not counted yet
      }
    }
    (void)base::sys::futex_wait(&ended_signal_, seen, left);
  }
}

std::vector<std::string> Scheduler::shut_down(base::Nanos grace) noexcept {
  const base::Instant deadline = base::saturating_add(base::now(), grace);
  is_shutting_down_.store(true, base::kSeqCst);
  cancel_all();
  blocking_->cancel_queued();
  bool has_ended = wait_until_ended(deadline, false);
  // A job does not see a cancel, so what it may wait for must end.
  if (options_.on_fibers_ended) options_.on_fibers_ended();
  has_ended = blocking_->shut_down(deadline) && has_ended;
  has_ended = wait_until_ended(deadline, true) && has_ended;
  base::tsan_acquire(this);
  if (!has_ended) {  // nothing of theirs is unmapped, and this object is never destroyed
    has_leaked_.store(true, base::kSeqCst);
    stacks_.leak();
    slab_.leak();
  }
  workers_.close();
  std::vector<std::string> stragglers;
  if (!has_ended) stragglers = name_stragglers();
  if (has_leaked()) workers_.detach();
  else workers_.join();
  if (watchdog_ != nullptr) watchdog_->stop();
  return stragglers;
}

// Step 3. Joiners of the stragglers continue after this, so as few fibers as possible should still
// run. A worker that does not compute stops at once.
std::vector<std::string> Scheduler::name_stragglers() noexcept {
  (void)workers_.has_stopped_within(kTimeToStop);
  std::vector<std::string> stragglers;
  for_each_fiber([&](Fiber& fiber) {
    if (fiber.has_ended()) return;
    fiber.leave_behind();
    const char* waits_for = to_string(fiber.waits_for.load(base::kRelaxed));
    const Fiber::Name name = fiber.copy_name();
    try {
      std::string text = "fiber " + std::to_string(fiber.id) + " '" + name.data() + "': ";
      stragglers.push_back(std::move(text += waits_for));
    } catch (const std::bad_alloc&) {
      base::warn("left behind, without memory to list it: fiber %lu '%s': %s",
                 static_cast<unsigned long>(fiber.id), name.data(), waits_for);
    }
  });
  return stragglers;
}

}  // namespace ramie::inline v0::sched
