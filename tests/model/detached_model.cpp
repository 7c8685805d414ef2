// Goal: a call that cannot be interrupted is made once, or not at all if its caller gave up before
// it began. Each caller learns of its end. No call waits while all threads end.
// Method: the shipped DetachedCalls with the checker's threads, and condition variables whose waits
// may time out.
#include "tests/model/stage.hpp"

#include "sched/blocking/detached.hpp"
#include "sched/wait.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <mutex>

using namespace ramie::model;
using ramie::errc;
using ramie::sched::DetachedCall;
using ramie::sched::DetachedCalls;

namespace {

constexpr auto kKeepAlive = ramie::base::Nanos(1);  // may be over at any time

class Call final : public DetachedCall {
 public:
  Call(Cell<int>& runs, Event* begins, Event* ends) noexcept
      : runs_(runs), begins_(begins), ends_(ends) {}
  void run() noexcept override {
    if (begins_ != nullptr) begins_->signal();
    if (ends_ != nullptr) ends_->wait();
    runs_ = runs_ + 1;
  }

 private:
  Cell<int>& runs_;
  Event* const begins_;
  Event* const ends_;
};

ramie::Result<void> perform(DetachedCalls& calls, Cell<int>& runs, Event* begins = nullptr,
                            Event* ends = nullptr) {
  const std::unique_ptr<Call, DetachedCall::Release> call(new Call(runs, begins, ends));
  return calls.perform(*call);
}

}  // namespace

TEST_CASE("Detached model: each call is made, whatever threads come and go, and its caller hears") {
  check_model("detached: calls",
              [] {
                Stage stage;
                Cell<int> runs{0};
                DetachedCalls calls(1, kKeepAlive);
                for (int i = 1; i <= 2; ++i) {
                  check(perform(calls, runs).has_value(),
                        "nothing ends that wait");
                  check(runs == i, "the call was not made, or twice");
                }
              },
              Mutants{441, 442},
              {.preemptions = 2});
}

TEST_CASE("Detached model: a caller that gives up takes its call along, unless it has begun") {
  check_model(
      "detached: a caller gives up",
      [] {
        Stage stage;
        Cell<int> first_runs{0};
        Cell<int> second_runs{0};
        Event begins;
        Event may_end;
        {
          DetachedCalls calls(1, kKeepAlive);
          FiberThread first([&] {
            check(perform(calls, first_runs, &begins, &may_end).has_value(),
                  "nothing ends that wait");
          });
          begins.wait();
          FiberThread second([&] {
            const auto ended = perform(calls, second_runs);
            check(!ended && ended.error() == errc::canceled, "the only thread is busy");
          });
          second.cancel();
          second.join();
          check(calls.queued() == 0, "a call that nobody waits for is still in the queue");
          may_end.signal();
          first.join();
        }
        check(first_runs == 1 && second_runs == 0, "a call was made for nobody");
      },
      Mutants{438}, {.preemptions = 2});
}

TEST_CASE("Detached model: a call whose caller gives up meanwhile ends without it") {
  check_model("detached: a call is left alone",
              [] {
                Stage stage;
                Cell<int> runs{0};
                {
                  DetachedCalls calls(1, kKeepAlive);
                  FiberThread caller([&] {
                    const auto ended = perform(calls, runs);
                    check(ended.has_value() || ended.error() == errc::canceled,
                          "nothing else ends that wait");
                  });
                  caller.cancel();
                  caller.join();
                }
                check(runs <= 1, "a call was made twice");
              },
              Mutants{440},
              {.preemptions = 3});
}

TEST_CASE("Wait model: a plain thread's deadline and its waker: one of them ends the wait") {
  check_model("wait: a plain thread's deadline",
              [] {
                Stage stage;
                ramie::base::Mutex mutex;
                ramie::sched::WaiterList waiters;
                bool is_ready = false;
                Thread waker([&] {
                  stage.set_time(3);
                  ramie::sched::WakeList wakes;
                  const std::lock_guard lock(mutex);
                  is_ready = true;
                  while (ramie::sched::Waiter* waiter = waiters.pop_front())
                    (void)wakes.claim(*waiter);
                });
                for (const auto deadline :
                     {ramie::base::Instant(ramie::base::Nanos(2)), ramie::base::kNever}) {
                  ramie::sched::Wait wait(ramie::sched::WaitKind::scope, nullptr);
                  wait.set_deadline(deadline);
                  const auto ended = wait.run(mutex, waiters, [&] { return is_ready; });
                  check(ended.has_value() ||
                            (ended.error() == errc::timed_out && deadline != ramie::base::kNever),
                        "nothing else ends that wait");
                }
                waker.join();
              },
              Mutants{437},
              {.preemptions = 3, .spurious = true});
}
