// Runs the shipped waiting code under the checker, with fibers, plain threads and a scheduler of
// the model.
//
//     shipped   Wait, WakeList, FiberWord, the timer wheel, tasks, scopes, everything that waits
//     ours      a model thread for each fiber: switch_out() commits and sleeps, as worker and
//               fiber do together; Scheduler::submit() wakes it. There are no run queues and no
//               stealing: those have their own models.
//
// The run fails if a fiber is queued twice (F2), or by a thread that did not win it.
#pragma once

#include "sched/driver.hpp"
#include "sched/fiber.hpp"
#include "tests/model/model.hpp"
#include "tests/model/thread.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace ramie::model {

// Planted bugs of the worker's part, which belongs to the model.
inline constexpr int kEntryIsLeft = 247;
inline constexpr int kLooksUnlocked = 248;

struct Seat;

// Makes fibers run one after the other (worker.hpp). Without a Runner a woken fiber runs at once.
class Runner {
 public:
  Runner() = default;
  virtual ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual void queue(Seat& seat) = 0;   // called by its waker
  virtual void on_run(Seat& seat) = 0;  // called by the fiber, as all below
  virtual void on_parked(Seat& seat, bool had_turn) = 0;
  virtual void on_ended(Seat& seat) = 0;
};

// Stands for the queues between the waker of a fiber and the fiber.
struct Seat {
  sched::Fiber* fiber = nullptr;
  Event runnable;
  int queued = 0;  // invisible to the checker, as all below: orders nothing
  Runner* runner = nullptr;
  bool has_turn = false;
  bool has_run = false;
};

// A fiber without a task: its own control block, a function, and the waiters for its end. Join a
// thread that cancels it before the fiber is destroyed.
class FiberThread {
 public:
  explicit FiberThread(std::function<void()> body, Runner* runner = nullptr);
  ~FiberThread();
  FiberThread(const FiberThread&) = delete;
  FiberThread& operator=(const FiberThread&) = delete;

  void join() { thread_->join(); }
  // Waits until the fiber has parked. It is in the queue by then. Nothing else may end that wait.
  void until_waits() const;
  void request(std::uint64_t bits);  // by any thread
  void cancel() { request(sched::FiberWord::kCancel); }
  // Called by the fiber itself: the worker of that number runs it from now on.
  void move_to(std::size_t worker);
  [[nodiscard]] sched::Fiber& block() noexcept { return block_; }

 private:
  void run(const std::function<void()>& body);

  sched::Fiber block_;
  Seat seat_;
  std::optional<Thread> thread_;
};

// Sets current_worker() for this thread of the model. The default is null.
void set_worker(sched::Worker* worker);

// While it lives, the model's thread that made it may wait as a plain thread does.
class PlainThread {
 public:
  PlainThread();
  ~PlainThread();
  PlainThread(const PlainThread&) = delete;
  PlainThread& operator=(const PlainThread&) = delete;

 private:
  sched::ThreadSleeper sleeper_;
};

inline constexpr std::size_t kWorkers = 2;  // numbers that a fiber may be moved to

// A whole scheduler without workers. spawn() and everything that needs it work in its scope. One at
// a time. At its end every fiber must have ended, and every block that a handle held must be back.
class Stage {
 public:
  explicit Stage(std::size_t wheels = 1, sched::Driver* driver = nullptr);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  void join();  // until every fiber that was submitted so far has ended
  // What a worker does before and after it sleeps in the driver, and in between.
  [[nodiscard]] std::int64_t begin_sleep();  // nanoseconds; negative: for ever
  void end_sleep();
  void advance_timers();
  void begin_shutdown();  // its step 1: refuse new tasks, cancel those that are there
  void close();           // and its step 4: the workers end
  [[nodiscard]] sched::Scheduler& scheduler() noexcept { return *scheduler_; }
  // The time that the code under test sees.
  void set_time(std::int64_t nanos) noexcept { time_.store(nanos, Order::seq_cst); }
  void let_pass(std::int64_t nanos) noexcept { time_.fetch_add(nanos, Order::seq_cst); }
  [[nodiscard]] std::int64_t time() const noexcept { return time_.load(Order::seq_cst); }
  // From the scheduler's submit().
  void start(sched::Fiber& fiber);

 private:
  struct Actor;
  void run(Actor& actor);

  Atomic<std::int64_t> time_{1};
  sched::Scheduler* scheduler_;
  PlainThread main_;
  Seat inbox_;
  std::array<std::unique_ptr<Actor>, kMaxThreads> actors_;
  std::size_t count_ = 0;
};

}  // namespace ramie::model
