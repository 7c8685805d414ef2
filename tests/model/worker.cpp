// See worker.hpp. The model's version of worker.hpp and of what it needs from the scheduler.
#include "tests/model/worker.hpp"

#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace ramie::model {

Loop* Loop::current_ = nullptr;

Loop::Loop(Stage& stage, std::vector<Place> fibers)
    : stage_(stage),
      worker_(std::make_unique<sched::Worker>(stage.scheduler(), 0, 0)),
      elsewhere_(std::make_unique<sched::Worker>(stage.scheduler(), 1, 0)),
      fibers_(std::move(fibers)),
      left_(static_cast<int>(fibers_.size())) {
  current_ = this;
}

Loop::~Loop() { current_ = nullptr; }

void Loop::run() {
  set_worker(worker_.get());
  worker_->run();
  set_worker(nullptr);
}

void Loop::run_one(sched::Fiber& fiber) {
  Seat& seat = **std::ranges::find(seats_, &fiber, &Seat::fiber);
  seat.has_turn = true;
  seat.runnable.signal();
  gave_way_.wait();
}

void Loop::queue(Seat& seat) {
  if (!seat.has_run) {  // as if a fiber of this worker had spawned it
    seats_.push_back(&seat);
    set_worker(worker_.get());
    worker_->submit_pinned(*seat.fiber);
    return set_worker(nullptr);
  }
  const auto number = static_cast<std::size_t>(std::ranges::find(seats_, &seat) - seats_.begin());
  const Place place = fibers_[number];
  if (place == leaves || (place == moves && choose(2) == 1)) seat.runnable.signal();
  else worker_->submit_pinned(*seat.fiber);
}

void Loop::on_run(Seat& seat) {
  sched::Worker* worker = seat.has_turn ? worker_.get() : elsewhere_.get();
  seat.has_run = true;
  seat.fiber->worker.store(worker, Order::relaxed);
  set_worker(worker);
}

void Loop::on_parked(Seat&, bool had_turn) {
  if (had_turn) gave_way_.signal();
}

void Loop::on_ended(Seat& seat) {
  const bool had_turn = seat.has_turn;
  if (left_.fetch_sub(1, Order::acq_rel) == 1) {
    stage_.close();
    if (!had_turn) worker_->unpark();
  }
  if (had_turn) gave_way_.signal();
}

}  // namespace ramie::model

namespace ramie::inline v0::sched {

// ---- worker.cpp, as far as a pinned fiber is concerned

void Worker::run() noexcept {
  while (!workers_.is_closing()) {
    Fiber* fiber = nullptr;
    if (inbox_size_.load(base::kAcquire) != 0) {
      const std::lock_guard lock(inbox_mutex_);
      inbox_size_.fetch_sub(1, base::kRelaxed);
      fiber = inbox_.pop_front();
    }
    if (fiber == nullptr) park();
    else model::Loop::current().run_one(*fiber);
  }
}

void Worker::ensure_watcher() noexcept {}

void Worker::submit_pinned(Fiber& fiber) noexcept {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(fiber);
    inbox_size_.fetch_add(1, base::kSeqCst);
  }
  if (current_worker() != this) unpark();
}

void Worker::submit_batch(FiberList& batch) noexcept {
  while (Fiber* fiber = batch.pop_front()) fiber->scheduler->submit(*fiber);
}

// ---- worker_set.cpp: there is no other worker

bool WorkerSet::has_work_anywhere() const noexcept { return false; }
bool WorkerSet::has_lifo_waiting(const Worker&) const noexcept { return false; }
bool WorkerSet::has_site_to_watch(const Worker&) const noexcept { return false; }
std::uint64_t WorkerSet::activity(const Worker&) const noexcept { return 0; }
void WorkerSet::notify_one() noexcept {}

void Watchdog::wake_up() noexcept {}

}  // namespace ramie::inline v0::sched
