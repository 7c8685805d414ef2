// Goal: every job of the blocking pool runs once, or ends once without a run. A job that finds an
// idle thread starts no other. No job waits while all threads end. A shutdown leaves no waiter.
// Method: the shipped BlockingPool with the checker's threads and condition variables, whose waits
// may time out and wake up spuriously.
#include "tests/model/stage.hpp"

#include "sched/blocking/pool.hpp"
#include "sched/scheduler.hpp"

#include <ramie/task.hpp>

#include <catch2/catch.hpp>

#include <optional>

using namespace ramie::model;
using ramie::sched::BlockingPool;

namespace {

constexpr auto kKeepAlive = ramie::base::Nanos(1);  // may be over at any time
constexpr auto kForEver = ramie::base::Nanos::max();

// A job as spawn_blocking() makes it, for the pool of this model.
template <class F>
ramie::sched::Fiber& make_job(F& function) {
  using Ops = ramie::detail::TypedTask<F, void>;
  std::error_code error;
  auto* job = ramie::detail::task_create(Ops::kOps, {}, nullptr, error);
  check(job != nullptr, "no block");
  ramie::detail::Slot<F>::construct(ramie::detail::task_storage(*job), [&] { return function; });
  return *job;
}

void join(ramie::sched::Fiber& job) {
  check(ramie::detail::task_join(job).has_value(), "nothing ends that wait");
  ramie::detail::task_release(job);
}

template <class F>
void run(BlockingPool& pool, F& function) {
  auto& job = make_job(function);
  pool.submit(job);
  join(job);
}

}  // namespace

TEST_CASE("Blocking model: a job gets an idle thread that nobody was promised, or a new one") {
  check_model("blocking: idle threads", [] {
    Stage stage;
    BlockingPool pool(stage.scheduler(), 2, kForEver);
    Event first_may_end;
    auto nothing = [] {};
    auto wait = [&] { first_may_end.wait(); };
    auto signal = [&] { first_may_end.signal(); };
    run(pool, nothing);  // its thread is idle now or soon
    auto& first = make_job(wait);
    auto& second = make_job(signal);
    pool.submit(first);
    pool.submit(second);
    join(first);
    join(second);
    check(pool.shut_down(ramie::base::kNever), "a thread is left");
  }, Mutants{291, 293, 296}, {.mode = Mode::random});
}

TEST_CASE("Blocking model: a job that meets a thread on its way home is not forgotten") {
  check_model("blocking: one thread", [] {
    Stage stage;
    BlockingPool pool(stage.scheduler(), 1, kKeepAlive);
    Atomic<int> runs{0};
    auto count = [&] { runs.fetch_add(1, Order::relaxed); };
    run(pool, count);
    run(pool, count);
    check(runs.load(Order::relaxed) == 2, "a job did not run");
    check(pool.shut_down(ramie::base::kNever), "a thread is left");
  }, Mutants{292},
     {.mode = Mode::random, .spurious = true});
}

TEST_CASE("Blocking model: a shutdown ends what was queued, and refuses what comes") {
  check_model("blocking: shutdown", [] {
    Stage stage;
    Atomic<int> runs{0};
    auto count = [&] { runs.fetch_add(1, Order::relaxed); };
    BlockingPool pool(stage.scheduler(), 1, kKeepAlive);
    auto& first = make_job(count);
    auto& second = make_job(count);
    pool.submit(first);
    Thread closer([&] { check(pool.shut_down(ramie::base::kNever), "a thread is left"); });
    pool.submit(second);
    join(first);
    join(second);
    closer.join();
    check(runs.load(Order::relaxed) <= 2, "a job ran twice");
    check(pool.queued() == 0 && pool.threads() == 0, "something is left");
  }, Mutants{294, 295}, {.preemptions = 2});
}

TEST_CASE("Blocking model: a job that is cancelled ends once, on its thread or as a fiber") {
  check_model("blocking: cancel",
              [] {
                Stage stage;
                Atomic<int> runs{0};
                auto count = [&] { runs.fetch_add(1, Order::relaxed); };
                {
                  BlockingPool pool(stage.scheduler(), 1, kForEver);
                  auto& first = make_job(count);
                  auto& second = make_job(count);
                  pool.submit(first);
                  pool.submit(second);
                  pool.cancel(second);
                  check(pool.queued() <= 1, "a cancelled job is still in the queue");
                  join(first);
                  join(second);
                  check(pool.shut_down(ramie::base::kNever), "a thread is left");
                }
                check(runs.load(Order::relaxed) <= 2, "a job ran twice");
              },
              Mutants{430, 431},
              {.preemptions = 2});
}

TEST_CASE("Blocking model: a shutdown without time leaves only threads that run a job") {
  check_model("blocking: shutdown without time",
              [] {
                Stage stage;
                BlockingPool pool(stage.scheduler(), 1, kForEver);
                auto nothing = [] {};
                run(pool, nothing);
                check(pool.shut_down(ramie::base::Instant()),
                      "a thread without a job was left behind");
                check(pool.threads() == 0, "a thread is left");
              },
              Mutants{433}, {.preemptions = 2});
}

TEST_CASE("Blocking model: jobs that a shutdown leaves behind end alone, in any order") {
  check_model("blocking: left behind",
              [] {
                Stage stage;
                BlockingPool pool(stage.scheduler(), 2, kForEver);
                Event may_end;
                Event may_end_too;
                auto wait = [&] { may_end.wait(); };
                auto wait_too = [&] { may_end_too.wait(); };
                auto& first = make_job(wait);
                auto& second = make_job(wait_too);
                pool.submit(first);
                pool.submit(second);
                const bool have_ended = pool.shut_down(ramie::base::Instant());
                check(!have_ended || pool.threads() == 0, "a thread is left");
                may_end.signal();
                may_end_too.signal();
                join(first);
                join(second);
                while (pool.threads() != 0) yield();
              },
              Mutants{432},
              {.mode = Mode::random});
}
