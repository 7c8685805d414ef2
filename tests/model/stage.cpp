// See stage.hpp. The model's version of current.hpp, context.hpp and scheduler.hpp.
#include "tests/model/stage.hpp"

#include "sched/blocking/pool.hpp"
#include "sched/current.hpp"
#include "sched/fiber_main.hpp"
#include "sched/scheduler.hpp"

#include <array>
#include <utility>

namespace ramie::inline v0::sched {

// Parts of the scheduler that no model runs.
struct Injector::Queue {};
Injector::Injector(std::size_t) {}
Injector::~Injector() = default;

Worker::Worker(Scheduler& scheduler, std::size_t index, std::uint64_t seed)
    : scheduler_(scheduler),
      workers_(scheduler.workers()),
      options_(scheduler.options()),
      shards_(scheduler.shards()),
      timers_(scheduler.timers()),
      index_(index),
      first_shard_(0),
      random_(seed),
      chaos_({}, 0),
      pace_(scheduler.options().slice),
      stacks_(scheduler.stacks()) {}
Worker::~Worker() = default;
Fiber* Worker::take_block() noexcept { return nullptr; }
std::uint64_t Worker::take_id() noexcept { return 0; }
void Worker::give_block_back(Fiber&) noexcept {}

WorkerSet::WorkerSet(Scheduler&, const SchedulerOptions& options)
    : has_watchers_(options.watch.count() != 0),
      idle_(options.workers),
      injector_(options.workers) {}
WorkerSet::~WorkerSet() = default;
void WorkerSet::close() noexcept { is_closing_.store(true, base::kSeqCst); }

Scheduler::Scheduler(SchedulerOptions options, const std::vector<Driver*>& drivers)
    : options_(std::move(options)),
      stacks_(options_.stacks),
      timers_(options_.workers),
      shards_(drivers),
      workers_(*this, options_) {}
Scheduler::~Scheduler() = default;

// Ids order nothing.
std::uint64_t new_fiber_ids(std::uint64_t count) noexcept {
  static std::uint64_t next = 1;
  return std::exchange(next, next + count);
}

struct ModelDoor {
  static void retire(Scheduler& scheduler) { scheduler.retire(); }
  // As Scheduler::shut_down() begins.
  static void begin_shutdown(Scheduler& scheduler) {
    scheduler.is_shutting_down_.store(true, base::kSeqCst);
    scheduler.cancel_all();
  }
};

}  // namespace ramie::inline v0::sched

namespace ramie::model {
namespace {

using sched::Fiber;
using sched::FiberWord;
using sched::Scheduler;

// The role of each thread of the model, in one run.
struct Cast {
  std::uint32_t run = 0;
  std::array<Fiber*, kMaxThreads> fibers{};
  std::array<sched::Sleeper*, kMaxThreads> sleepers{};
  std::array<Seat*, kMaxThreads> seats{};
  std::array<sched::Worker*, kMaxThreads> workers{};
  Stage* stage = nullptr;
};

Cast& cast() {
  static Cast cast;
  if (cast.run != Execution::run_number()) cast = Cast{.run = Execution::run_number()};
  return cast;
}

std::size_t self() { return static_cast<std::size_t>(Execution::current().self()); }

sched::SchedulerOptions options(std::size_t wheels) {
  sched::SchedulerOptions options;
  options.workers = wheels;
  options.stacks.guard = sched::GuardMethod::off;
  options.watch = base::Nanos(0);
  return options;
}

// For fibers without a task. Made outside every run, so its atomics cannot be used.
Scheduler& nobody() {
  static auto& scheduler = *new Scheduler(options(1), {});
  return scheduler;
}
[[maybe_unused]] Scheduler& made_before_any_run = nobody();

// These only have numbers. They are also made before any run.
sched::Worker& worker(std::size_t number) {
  static const std::array<sched::Worker*, kWorkers> workers = {new sched::Worker(nobody(), 0, 0),
                                                               new sched::Worker(nobody(), 1, 0)};
  return *workers[number];
}
[[maybe_unused]] sched::Worker& also_made_before_any_run = worker(0);

constexpr std::uint32_t kBudget = 1000;  // more than a model uses

// The fiber's thread becomes the fiber.
void enter(Fiber& fiber, Seat& seat) {
  cast().fibers[self()] = &fiber;
  cast().seats[self()] = &seat;
  fiber.budget.store(kBudget, Order::relaxed);
}

// Sleeps until a worker runs it.
void sleep(Seat& seat) {
  seat.runnable.wait();
  seat.queued = 0;
  if (seat.runner != nullptr) seat.runner->on_run(seat);
}

void leave() {
  cast().fibers[self()] = nullptr;
  cast().seats[self()] = nullptr;
}

Seat* seat_of(const Fiber& fiber) {
  for (Seat* seat : cast().seats)
    if (seat != nullptr && seat->fiber == &fiber) return seat;
  return nullptr;
}

// As Worker::finish() does.
void leave_wheel(Fiber& fiber) {
  sched::TimerWheel* wheel = fiber.timer.wheel.exchange(nullptr, Order::relaxed);
  if (is_mutant(kLooksUnlocked) && !fiber.timer.is_linked()) return;
  if (wheel != nullptr && !is_mutant(kEntryIsLeft)) wheel->remove(fiber.timer);
}

}  // namespace

// ---- fibers without a task

FiberThread::FiberThread(std::function<void()> body, Runner* runner) {
  seat_.fiber = &block_;
  seat_.runner = runner;
  block_.scheduler = cast().stage == nullptr ? &nobody() : &cast().stage->scheduler();
  block_.worker.store(&worker(0), Order::relaxed);
  block_.timer.owner = &block_;
  block_.word.reset();
  if (runner != nullptr) runner->queue(seat_);
  thread_.emplace([this, run = std::move(body)] { this->run(run); });
}

FiberThread::~FiberThread() { thread_->join(); }

void FiberThread::run(const std::function<void()>& body) {
  enter(block_, seat_);
  if (seat_.runner != nullptr) sleep(seat_);
  body();
  check(block_.cancel.innermost == nullptr, "a cancel scope is left behind");
  leave();
  block_.word.finish();
  leave_wheel(block_);
  if (seat_.runner != nullptr) seat_.runner->on_ended(seat_);
}

void FiberThread::move_to(std::size_t number) {
  block_.worker.store(&worker(number), Order::relaxed);
}

void FiberThread::until_waits() const {
  while (block_.waits_for.load(Order::relaxed) == sched::WaitKind::none) yield();
  thread_->hear_from();
}

void FiberThread::request(std::uint64_t bits) {
  sched::WakeList wakes;
  wakes.request(block_, bits);
}

// ---- plain threads

void set_worker(sched::Worker* worker) { cast().workers[self()] = worker; }

PlainThread::PlainThread() { cast().sleepers[self()] = &sleeper_; }
PlainThread::~PlainThread() { cast().sleepers[self()] = nullptr; }

// ---- fibers with a task

struct Stage::Actor {
  Seat seat;
  std::optional<Thread> thread;
};

Stage::Stage(std::size_t wheels, sched::Driver* driver)
    : scheduler_(new Scheduler(options(wheels), driver == nullptr
                                                    ? std::vector<sched::Driver*>()
                                                    : std::vector<sched::Driver*>{driver})) {
  cast().stage = this;
}

Stage::~Stage() {
  join();
  cast().stage = nullptr;
  sched::ModelDoor::retire(*std::exchange(scheduler_, nullptr));
}

void Stage::join() {
  for (std::size_t i = 0; i < count_; ++i) actors_[i]->thread->join();
}

std::int64_t Stage::begin_sleep() {
  return scheduler_->shards()[0].begin_sleep(scheduler_->timers(), base::Nanos(-1)).count();
}
void Stage::end_sleep() { scheduler_->shards()[0].end_sleep(); }

void Stage::advance_timers() {
  sched::FiberList due;
  scheduler_->timers().advance(due);
  while (Fiber* fiber = due.pop_front()) scheduler_->submit(*fiber);
}

void Stage::close() { scheduler_->workers().close(); }
void Stage::begin_shutdown() { sched::ModelDoor::begin_shutdown(*scheduler_); }

void Stage::start(Fiber& fiber) {
  if (count_ == actors_.size()) Execution::current().fail("more fibers than kMaxThreads");
  auto& actor = actors_[count_++];
  actor = std::make_unique<Actor>();
  actor->seat.fiber = &fiber;
  actor->thread.emplace([this, one = actor.get()] { run(*one); });
}

// The worker's part (worker.cpp: run_one, finish).
void Stage::run(Actor& actor) {
  Fiber& fiber = *actor.seat.fiber;
  enter(fiber, actor.seat);
  fiber.skip_body = (fiber.word.cancel_bits() & (FiberWord::kCancel | FiberWord::kShutdown)) != 0;
  sched::fiber_main(&fiber);
  leave();
  actor.seat.fiber = nullptr;
  fiber.word.finish();
  leave_wheel(fiber);
  sched::end_task(fiber);
}

}  // namespace ramie::model

// ---- what the shipped code calls

namespace ramie::inline v0 {
namespace sched {

using model::cast;
using model::self;

Fiber* current_fiber() noexcept { return cast().fibers[self()]; }
Worker* current_worker() noexcept { return cast().workers[self()]; }
Scheduler* exchange_entered(Scheduler*) noexcept { return nullptr; }

Sleeper& current_sleeper() noexcept {
  if (Fiber* fiber = current_fiber()) return *fiber;
  Sleeper* sleeper = cast().sleepers[self()];
  if (sleeper == nullptr) model::Execution::current().fail("a wait outside fiber and PlainThread");
  return *sleeper;
}

Scheduler* current_scheduler() noexcept {
  model::Stage* stage = cast().stage;
  return stage == nullptr ? nullptr : &stage->scheduler();
}

void switch_out(FiberContext&) noexcept {
  Fiber& fiber = *current_fiber();
  model::Seat& seat = *cast().seats[self()];
  if (fiber.switch_reason.load(base::kRelaxed) == SwitchReason::yielding) return model::yield();
  const bool had_turn = std::exchange(seat.has_turn, false);  // once PARKED, it may get the next
  if (fiber.word.commit() == FiberWord::Commit::queue) {
    seat.has_turn = had_turn;
    return;
  }
  if (seat.runner != nullptr) seat.runner->on_parked(seat, had_turn);
  model::sleep(seat);
}

void Scheduler::submit(Fiber& fiber) noexcept {
  model::Seat* seat = model::seat_of(fiber);
  if (seat == nullptr) return cast().stage->start(fiber);
  model::check(seat->queued++ == 0, "F2: a fiber is queued twice");
  model::check(fiber.word.state() == FiberWord::kWoken, "F2: a fiber is queued that nobody woke");
  if (seat->runner != nullptr) seat->runner->queue(*seat);
  else seat->runnable.signal();
}

}  // namespace sched

namespace base {

Instant now() noexcept {
  model::Stage* stage = model::cast().stage;
  return Instant(Nanos(stage == nullptr ? 1 : stage->time()));
}

}  // namespace base
}  // namespace ramie::inline v0
