// See scheduler.hpp.
#include "sched/scheduler.hpp"

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"

#include <algorithm>
#include <cstdio>
#include <new>
#include <system_error>

namespace ramie {
inline namespace v0 {
namespace sched {

namespace {

constexpr base::Nanos kLookAgain{1'000'000};
constexpr base::Nanos kTimeToStop{20'000'000};

base::Atomic<std::uint64_t> next_fiber_id{1};

}  // namespace

// The first of `count` ids that nobody else gets.
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

Scheduler::Scheduler(SchedulerOptions options, std::vector<Driver*> shards)
    : options_(std::move(options)),
      stacks_(options_.stacks),
      timers_(options_.workers),
      idle_(options_.workers),
      injector_(options_.workers) {
  base::set_describe(&describe_current_fiber);
  for (Driver* driver : shards) {
    auto shard = std::make_unique<Shard>();
    shard->driver = driver;
    shard->index = static_cast<std::uint32_t>(shards_.size());
    shards_.push_back(std::move(shard));
  }
  blocking_ =
      std::make_unique<BlockingPool>(*this, options_.blocking_threads, options_.blocking_keepalive);
  for (std::size_t i = 0; i < options_.workers; ++i)
    workers_.push_back(std::make_unique<Worker>(*this, i, options_.seed + i));
  if (options_.watchdog.is_needed()) watchdog_ = std::make_unique<Watchdog>(*this);
}

Scheduler::~Scheduler() = default;

Result<void> Scheduler::start() noexcept {
  std::error_code error;
  try {
    if (watchdog_ != nullptr) watchdog_->start();
    for (auto& worker : workers_) worker->start();
    return {};
  } catch (const std::system_error& refused) {
    error = refused.code();
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  is_closing_.store(true, base::kSeqCst);
  for (auto& worker : workers_) {
    if (!worker->thread_.joinable()) break;
    worker->unpark();
    worker->join();
  }
  if (watchdog_ != nullptr) watchdog_->stop();
  return failure(error);
}

// --- making fibers runnable ----------------------------------------------------------------------

void Scheduler::submit(Fiber& fiber) noexcept {
  if (Worker* worker = own_worker()) {
    worker->submit(fiber);
    return;
  }
  // As soon as others can see the fiber it may run and end, and the runtime with it: retire() waits
  // until we are out.
  submitters_outside_.fetch_add(1, base::kSeqCst);
  if (fiber.home != nullptr) {
    fiber.home->submit_pinned(fiber);
  } else {
    Fiber* one = &fiber;
    injector_.push(std::span<Fiber* const>(&one, 1), Injector::kOutside);
    notify_one();
  }
  submitters_outside_.fetch_sub(1, base::kSeqCst);
}

void Scheduler::submit_batch(FiberList& batch) noexcept {
  while (Fiber* fiber = batch.pop_front()) submit(*fiber);
}

// P3, the producer's half: the push is done; fence; nobody searches: wake one.
void Scheduler::notify_one() noexcept {
  base::fence(base::kSeqCst);
  const std::size_t chosen = idle_.choose();
  if (chosen == IdleSet::kNobody) return;
  if (Worker* worker = current_worker()) worker->metrics_.wakes.add();
  workers_[chosen]->unpark();
}

bool Scheduler::wake_sleeper() noexcept {
  const std::size_t chosen = idle_.take_sleeper();
  if (chosen == IdleSet::kNobody) return false;
  workers_[chosen]->unpark();
  return true;
}

bool Scheduler::has_work_anywhere(const Worker&) const noexcept {
  if (injector_.has_work()) return true;
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->has_stealable_work(); });
}

bool Scheduler::has_unattended_shard() const noexcept {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return !shard->baton.is_taken(); });
}

// Our own shard first, then any free one.
Shard* Scheduler::take_baton(std::size_t worker) noexcept {
  const std::size_t own = worker * shards_.size() / workers_.size();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& shard = *shards_[(own + i) % shards_.size()];
    if (shard.baton.try_take()) return &shard;
  }
  return nullptr;
}

std::uint64_t Scheduler::activity(const Worker& asker) const noexcept {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_)
    if (worker.get() != &asker) sum += worker->published_tick_.load(base::kRelaxed);
  return sum;
}

bool Scheduler::has_lifo_waiting(const Worker& asker) const noexcept {
  return std::any_of(workers_.begin(), workers_.end(), [&asker](const auto& worker) {
    return worker.get() != &asker && worker->lifo_.load(base::kSeqCst) != nullptr;
  });
}

bool Scheduler::has_site_to_watch(const Worker& asker) const noexcept {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    return worker.get() != &asker && worker->has_inflight() && !is_asleep(worker->index());
  });
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

// Step 2. `with_jobs`: also those on threads of the blocking pool.
bool Scheduler::wait_until_ended(base::Instant deadline, bool with_jobs) noexcept {
  for (;;) {
    const std::uint32_t seen = ended_signal_.load(base::kSeqCst);
    const std::int64_t alive = live();  // first: a job that ends meanwhile must not hide a fiber
    if (alive <= (with_jobs ? 0 : static_cast<std::int64_t>(blocking_->running()))) return true;
    base::Nanos left = kLookAgain;
    if (deadline != base::kNever) {
      left = std::min(left, deadline - base::now());
      if (left.count() <= 0) {
        if (has_unended(with_jobs)) return false;
        left = kLookAgain;  // all have ended, and the last ones are about to be counted
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
  // A job knows no cancel: what it may wait for must end.
  if (options_.on_fibers_ended) options_.on_fibers_ended();
  has_ended = blocking_->shut_down(deadline) && has_ended;
  has_ended = wait_until_ended(deadline, true) && has_ended;
  base::tsan_acquire(this);
  if (!has_ended) {  // nothing of them is unmapped, and we are never destroyed
    has_leaked_.store(true, base::kSeqCst);
    stacks_.leak();
    slab_.leak();
  }
  injector_.close();
  is_closing_.store(true, base::kSeqCst);
  for (auto& worker : workers_) worker->unpark();
  std::vector<std::string> stragglers;
  if (!has_ended) stragglers = leave_stragglers();
  for (auto& worker : workers_) {
    if (has_leaked()) worker->thread_.detach();
    else worker->join();
  }
  if (watchdog_ != nullptr) watchdog_->stop();
  return stragglers;
}

// Step 3. Whoever joins a straggler goes on now, so as few fibers as possible shall still run: a
// worker that does not compute stops at once.
std::vector<std::string> Scheduler::leave_stragglers() noexcept {
  const base::Instant until = base::saturating_add(base::now(), kTimeToStop);
  const auto has_stopped = [](const auto& worker) { return worker->has_stopped(); };
  while (!std::all_of(workers_.begin(), workers_.end(), has_stopped) && base::now() < until)
    base::yield_thread();
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

}  // namespace sched
}  // namespace v0
}  // namespace ramie
