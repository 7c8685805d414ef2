// Sleeping and deadlines in a running scheduler.
#include "tests/support/sched_runtime.hpp"

#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ramie::errc;
using ramie::JoinHandle;
using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

TEST_CASE("B75 a sleep is never early", "[sched][time]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  constexpr int kFibers = 100;
  constexpr int kSleeps = 20;
  std::vector<JoinHandle<int>> sleepers;
  for (unsigned i = 0; i < kFibers; ++i)
    sleepers.push_back(spawn([i] {
      std::mt19937 random(i);
      int early = 0;
      for (int n = 0; n < kSleeps; ++n) {
        const auto delay = std::chrono::nanoseconds(random() % (n % 4 == 0 ? 3'000'000 : 100'000));
        const auto start = Clock::now();
        early += !ramie::sleep_for(delay);
        early += Clock::now() - start < delay;
      }
      return early;
    }));
  for (auto& sleeper : sleepers) CHECK(sleeper.join() == 0);
}

TEST_CASE("B75 no delay and deadlines of the past are over at once", "[sched][time]") {
  const Watchdog watchdog;
  SchedRuntime runtime(1);
  const auto passed = runtime.run([] {
    int good = 0;
    good += ramie::sleep_for(0s).has_value();
    good += ramie::sleep_for(-1h).has_value();
    good += ramie::sleep_until(Clock::now() - 1h).has_value();
    good += ramie::sleep_until(Clock::time_point::min()).has_value();
    good += ramie::sleep_for(std::chrono::nanoseconds::min()).has_value();
    good += ramie::timeout(-1s, [] { return ramie::sleep_for(1h); }).error() == errc::timed_out;
    good += ramie::timeout_at(Clock::time_point::min(), [] {
              return ramie::sleep_for(1h);
            }).error() == errc::timed_out;
    return good;
  });
  CHECK(passed == 7);
  CHECK(ramie::sleep_for(1ms).error() == errc::no_runtime);
}

TEST_CASE("B75 far deadlines neither wrap nor end early", "[sched][time]") {
  const Watchdog watchdog;
  SchedRuntime runtime(2);
  using Hours = std::chrono::duration<long double, std::ratio<3600>>;
  std::vector<JoinHandle<ramie::Result<void>>> sleepers;
  std::atomic<std::size_t> in{0};
  const auto start = [&](auto sleep) {
    sleepers.push_back(spawn([&in, sleep] {
      ++in;
      return sleep();
    }));
  };
  start([] { return ramie::sleep_for(24h * 365 * 2); });
  start([] { return ramie::sleep_for(24h * 14); });
  start([] { return ramie::sleep_for(std::chrono::hours::max()); });
  start([] { return ramie::sleep_for(std::chrono::nanoseconds::max()); });
  start([] { return ramie::sleep_for(Hours(1e300L)); });
  start([] { return ramie::sleep_until(Clock::time_point::max()); });
  start([] { return ramie::sleep_until(Clock::time_point::max() - 1ns); });
  spin_until([&] { return in == sleepers.size(); });
  // They do not delay an earlier timer.
  CHECK(spawn([] { return ramie::sleep_for(20ms); }).join().has_value());
  for (auto& sleeper : sleepers) {
    CHECK_FALSE(sleeper.is_finished());
    sleeper.cancel();
    CHECK(sleeper.join().error() == errc::canceled);
  }
  CHECK(runtime.scheduler().timers().size() == 0);
}

TEST_CASE("B77 many timers on many workers fire exactly once; cancelled ones leave the wheel",
          "[sched][time]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  constexpr int kTimers = 4000;
  std::atomic<int> fired{0};
  std::atomic<int> canceled{0};
  std::vector<JoinHandle<void>> sleepers;
  std::mt19937 random(1);
  for (int i = 0; i < kTimers; ++i) {
    const bool is_far = i % 2 == 1;
    const auto delay = is_far ? 1'000'000'000us : std::chrono::microseconds(random() % 20'000);
    sleepers.push_back(spawn([&, delay] {
      if (ramie::sleep_for(delay)) ++fired;
      else ++canceled;
    }));
  }
  for (std::size_t i = 1; i < sleepers.size(); i += 2) sleepers[i].cancel();
  std::size_t never_ran = 0;
  for (auto& sleeper : sleepers) never_ran += !sleeper.join();
  CHECK(fired == kTimers / 2);
  CHECK(canceled + static_cast<int>(never_ran) == kTimers / 2);
  CHECK(runtime.scheduler().timers().size() == 0);
}

// Goal: an entry that the fiber re-arms on another worker while its wheel fires it is neither lost
// nor linked twice. Method: waits whose deadline comes at about the time of their wake-up, inside a
// longer one, on several workers.
TEST_CASE("Timers that race with wake-ups and migration stay sound", "[sched][time]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  constexpr int kPairs = 16;
  constexpr int kRounds = 1500;
  std::vector<JoinHandle<int>> waiters;
  std::vector<JoinHandle<void>> wakers;
  std::vector<std::unique_ptr<ramie::sync::Notify>> bells;
  std::atomic<int> left{kPairs};
  for (unsigned i = 0; i < kPairs; ++i) {
    bells.push_back(std::make_unique<ramie::sync::Notify>());
    ramie::sync::Notify& bell = *bells.back();
    waiters.push_back(spawn([&bell, &left, i] {
      std::mt19937 random(i);
      int wrong = 0;
      (void)ramie::timeout(1h, [&] {
        for (int n = 0; n < kRounds; ++n) {
          const auto inner = std::chrono::microseconds(random() % 120);
          const auto outer = std::chrono::microseconds(random() % 200);
          const auto waited = ramie::timeout(
              outer, [&] { return ramie::timeout(inner, [&] { return bell.wait(); }); });
          wrong += !waited && waited.error() != errc::timed_out;
        }
      });
      --left;
      return wrong;
    }));
    wakers.push_back(spawn([&bell, &left, i] {
      std::mt19937 random(i + 1000);
      while (left > 0) {
        bell.notify_one();
        (void)ramie::sleep_for(std::chrono::microseconds(random() % 100));
      }
    }));
  }
  for (auto& waiter : waiters) CHECK(waiter.join() == 0);
  for (auto& waker : wakers) CHECK(waker.join().has_value());
  CHECK(runtime.scheduler().timers().size() == 0);
}

// Goal: a wheel that puts an entry back for a later deadline does not meet the fiber that arms it
// again. Method: waits that end at once, each with a deadline a little later than the last.
TEST_CASE("Timers: an entry that is put back while its fiber arms again is linked once",
          "[sched][time]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{2}, std::size_t{4});
  SchedRuntime runtime(workers);
  constexpr int kFibers = 4;
  ramie::sync::Notify bells[kFibers];
  std::atomic<int> left{kFibers};
  std::vector<JoinHandle<int>> waiters;
  for (ramie::sync::Notify& bell : bells)
    waiters.push_back(spawn([&bell, &left] {
      int wrong = 0;
      for (int n = 0; n < 20'000; ++n) {
        const auto waited = ramie::timeout(60us, [&] { return bell.wait(); });
        wrong += !waited && waited.error() != errc::timed_out;
      }
      --left;
      return wrong;
    }));
  std::thread waker([&] {
    while (left > 0)
      for (ramie::sync::Notify& bell : bells) bell.notify_one();
  });
  for (auto& waiter : waiters) CHECK(waiter.join() == 0);
  waker.join();
  CHECK(runtime.scheduler().timers().size() == 0);
}

TEST_CASE("B77 a sleeper on an idle runtime is woken by an earlier timer of another fiber",
          "[sched][time]") {
  const Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  SchedRuntime runtime(workers);
  auto late = spawn([] { return ramie::sleep_for(1h); });
  spin_until([&] { return runtime.scheduler().timers().size() == 1; });
  std::this_thread::sleep_for(5ms);  // the workers go to sleep
  for (int i = 0; i < 20; ++i) CHECK(spawn([] { return ramie::sleep_for(2ms); }).join());
  late.cancel();
  CHECK(late.join().error() == errc::canceled);
}
